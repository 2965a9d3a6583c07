// advface-extract: images -> features (.npy, streamed) and the list of the files that they belong to.
#include <iostream>

#include "advface/core/feature_file.h"
#include "tensor/hash.h"
#include "tools/data/cut_report.h"
#include "tools/options/face_options.h"
#include "tools/options/part.h"
#include "tools/options/part_progress.h"
#include "tools/options/progress.h"

using namespace advf;
using namespace advf::tools;

namespace {

struct Options {
  Common common;
  FaceOptions faces;
  std::string out, list_out, sheet;
  PartOption part;
};

nlohmann::json passed_over_json(const PassedOver& files) {
  return {{"files", files.count()}, {"by_ending", files.by_ending}, {"unusable", files.unusable}};
}

// Of the files that are to be extracted, whatever share of them.
std::string hash_of(const std::vector<std::string>& names) {
  uint64_t hash = kFnvStart;
  for (const std::string& name : names) hash = fnv1a(name + "\n", hash);
  return hex(hash);
}

int extract_file(Options& o) {
  const Part part = o.part.part_of_features(o.out);
  for (std::string* path : {&o.out, &o.list_out, &o.sheet, &o.common.json}) *path = part.path(*path);
  o.common.activate();
  install_interrupt_handler();
  o.faces.check_cut(true);
  check_writable({o.sheet});
  const Recogniser recogniser = Recogniser::load(o.faces.recogniser);
  const FaceCut face_cut = o.faces.face_cut(recogniser);
  const Context context = console();
  FaceSource faces = o.faces.open_images(context);
  const int64_t total = faces.size();
  const std::string input = hash_of(faces.names());
  const auto [begin, end] = part.range(total, o.faces.extract_batch);
  faces.keep_range(begin, end);
  const std::string cut = o.faces.cut_of(recogniser);
  const Shape row = recogniser.feature_shape(cut);
  if (o.list_out.empty()) o.list_out = o.out + kFileListEnding;
  for (const std::string& file :
       {o.out, feature_info_path(o.out), o.list_out, face_list_path(o.out), left_out_path(o.out)})
    remove_stale_temporaries(file);

  FeatureInfo info{recogniser.fingerprint(), cut, {}, feeding_hash(recogniser.card())};
  info.part = part.described(total, o.faces.extract_batch, o.common.seed, input);
  FeatureFileWriter writer(o.out, row, info);
  AtomicFile list(o.list_out);
  CutReport report(o.out, o.sheet, face_cut, faces);
  PartProgress progress("extract", faces.size(), "images", info.part, o.out);
  for_each_feature_batch(
      recogniser, cut, faces, face_cut, extract_options(o.faces, progress, context),
      [&](const FeatureBatch& batch) {
        writer.append_rows(batch.features);
        for (const std::string& name : report.take(batch.indices, batch.found, batch.images))
          list.write(name + "\n");
      });
  progress.finish();
  o.faces.tell_of_cache(context);
  if (faces.size() > 0) report.check_any();  // of more parts than batches some are empty
  const int64_t rows = writer.rows(), broken = faces.broken_count();
  list.finish();
  report.finish();
  if (o.list_out == o.out + kFileListEnding) writer.bind_list(kFileListEnding, list.written_at());
  for (const auto& [ending, written_at] : report.lists()) writer.bind_list(ending, written_at);
  writer.finish();
  writer.commit();
  list.commit();
  report.commit();
  nlohmann::json result = {{"images", rows},
                           {"broken", broken},
                           {"passed_over", passed_over_json(faces.passed_over())},
                           {"cut", cut},
                           {"feature_shape", std::vector<int64_t>(row.begin(), row.end())},
                           {"recogniser", recogniser.fingerprint()},
                           {"seconds", progress.seconds()},
                           {"images_per_second", double(rows) / std::max(progress.seconds(), 1e-9)}};
  report.add_to(result);
  o.common.write_json(result);
  std::cout << rows << " features of shape " << row << " -> " << o.out << ", their files -> " << o.list_out;
  if (broken > 0) std::cout << "; " << broken << " images could not be read";
  report.print(std::cout);
  std::cout << "\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Computes the features of photographs with a recogniser.", "advface-extract");
  app.footer(
      "Example:\n  advface-extract --recogniser facenet.json --images faces --eyes 34.5,55.5,54,55.5 --out "
      "features.npy\n"
      "  advface-extract --recogniser facenet.json --images photographs --detector yunet.json --out "
      "features.npy --sheet faces.png");
  Options o;
  o.faces.add_features_to(app);
  app.add_option("--out", o.out, "where the features go (.npy); appears only when complete")->required();
  app.add_option("--list-out", o.list_out, "where the list of files goes (default: OUT.txt)");
  app.add_option("--sheet", o.sheet, "a picture (.png) of the faces that were cut out, to be looked at");
  app.add_option("--batch", o.faces.extract_batch, "images at a time")
      ->capture_default_str()
      ->check(CLI::Range(int64_t(1), int64_t(4096)));
  o.part.add_to(app);
  o.common.add_to(app);
  return run(app, argc, argv, [&] { return extract_file(o); });
}
