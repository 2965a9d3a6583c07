// advface-align: photographs -> faces turned upright and cut out, as PNG files for other tools.
#include <unistd.h>

#include <filesystem>
#include <iostream>
#include <numeric>

#include "advface/core/face_stream.h"
#include "tensor/backend.h"
#include "tensor/parallel.h"
#include "tools/data/cut_report.h"
#include "tools/options/face_options.h"
#include "tools/options/progress.h"

using namespace advf;
using namespace advf::tools;

namespace {

namespace fs = std::filesystem;

struct Options {
  Common common;
  FaceOptions faces;
  FaceTemplate face_template;
  std::string out, sheet;
  int size = 112;
};

// The card's template and size, where one was named.
void take_card(Options& o, bool sized) {
  if (o.faces.recogniser.empty()) return;
  const RecogniserCard card = load_card(o.faces.recogniser);
  check(card.input.width == card.input.height, card.path, ": the input is ", card.input.width, "x",
        card.input.height, "; only square inputs can be cropped to");
  o.face_template = card.crop;
  if (!sized) o.size = int(card.input.width);
}

// The crops in the making: a folder beside the one they are for, whose name they get when all are there.
class CropFolder {
 public:
  explicit CropFolder(const std::string& folder)
      : folder_(fs::weakly_canonical(fs::absolute(folder)).string()) {
    std::error_code error;
    while (folder_.size() > 1 && folder_.ends_with('/')) folder_.pop_back();
    made_ = folder_ + ".tmp-" + std::to_string(::getpid());
    check(!fs::exists(folder, error) || (fs::is_directory(folder, error) && fs::is_empty(folder, error)),
          folder, ": is there already; the crops go to a folder that is absent or empty");
    fs::create_directories(made_, error);
    check(fs::is_directory(made_), folder, ": cannot be made a folder: ", error.message());
  }
  ~CropFolder() {
    std::error_code ignored;
    fs::remove_all(made_, ignored);
  }
  CropFolder(const CropFolder&) = delete;
  const std::string& path() const { return made_; }
  void commit() {
    std::error_code error;
    fs::rename(made_, folder_, error);
    check(!error, folder_, ": cannot be written: ", error.message());
  }

 private:
  std::string folder_, made_;
};

// Two pictures may differ in their ending alone: so the whole name stays.
std::string crop_name(const std::string& face) {
  const FaceName name = FaceName::parse(face);
  return name.picture + (name.number > 0 ? "_" + std::to_string(name.number) : "") + ".png";
}

// faces: their names.
void write_crops(const std::string& folder, int size, const std::vector<std::string>& faces,
                 const Tensor& crops) {
  const Tensor host = crops.on_host();
  parallel_for(int64_t(faces.size()), [&](int64_t i) {
    const fs::path path = fs::path(folder) / crop_name(faces[size_t(i)]);
    fs::create_directories(path.parent_path());
    const BackendScope cpu(backend("cpu"));
    write_png(path.string(), to_image(host.slice_batch(i, i + 1).view({3, size, size})));
  });
}

int align_pictures(Options& o, bool sized) {
  o.common.activate();
  install_interrupt_handler();
  o.faces.check_cut(true);
  as_usage([&] {
    check(!o.faces.whole_pictures(),
          "give --detector or --landmarks (or --eyes, for one box in all pictures)");
  });
  take_card(o, sized);
  const FaceCut cut = o.faces.face_cut(o.face_template);
  const Context context = console();
  FaceSource faces = o.faces.open_images(context);
  check_writable({o.sheet});
  CropFolder folder(o.out);
  CutReport report(o.out, o.sheet, cut, faces);
  constexpr int64_t kBatch = 16;  // few, as a stop is looked for between two
  int64_t written = 0;
  Progress progress("align", faces.size(), "images");
  std::vector<int64_t> all(size_t(faces.size()));
  std::iota(all.begin(), all.end(), 0);
  FaceStream stream(faces, std::move(all), cut, o.size, kBatch);
  while (!stream.done()) {
    context.check_stop();
    const int64_t begin = stream.pictures_done();
    const FaceBatch batch = stream.next();
    for (const BrokenFace& face : batch.broken)
      if (face.is_broken()) context.tell("left out: " + face.why);
    write_crops(folder.path(), o.size, report.take(batch.good, batch.found, batch.images), batch.images);
    written += int64_t(batch.good.size());
    progress.advance(stream.pictures_done() - begin);
  }
  context.check_stop();
  progress.finish();
  o.faces.tell_of_cache(context);
  report.check_any();
  report.finish();
  folder.commit();
  report.commit();
  nlohmann::json result = {{"images", faces.size()},
                           {"crops", written},
                           {"size", o.size},
                           {"seconds", progress.seconds()},
                           {"images_per_second", double(faces.size()) / std::max(progress.seconds(), 1e-9)}};
  report.add_to(result);
  o.common.write_json(result);
  std::cout << written << " faces of " << o.size << " x " << o.size << " pixels -> " << o.out;
  report.print(std::cout);
  std::cout << "\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Turns faces of photographs upright, cuts them out and writes them as PNG files.",
               "advface-align");
  app.footer(
      "Example:\n  advface-align --images photographs --detector yunet.json --recogniser facenet.json --out "
      "crops "
      "--sheet crops.png\n"
      "  advface-align --images photographs --landmarks points.csv --size 112 --out crops");
  Options o;
  o.faces.add_images_to(app);
  app.add_option("--out", o.out, "folder for the crops; absent or empty")->required();
  auto* recogniser =
      app.add_option("--recogniser", o.faces.recogniser, "recogniser card: its template, margin and size");
  app.add_option("--template", o.face_template.face_template,
                 "where the points of a face go, instead of a card's")
      ->capture_default_str()
      ->check(CLI::IsMember({"arcface112"}))
      ->excludes(recogniser);
  app.add_option("--margin", o.face_template.margin,
                 "share of the side by which the crop grows, instead of a card's")
      ->capture_default_str()
      ->check(number_in(-0.49, 4))
      ->excludes(recogniser);
  auto* size = app.add_option("--size", o.size, "pixels a side (default: what the card says, or 112)")
                   ->check(CLI::Range(8, 2048));
  app.add_option("--sheet", o.sheet, "a picture (.png) of the faces that were cut out, to be looked at");
  o.common.add_to(app);
  return run(app, argc, argv, [&] { return align_pictures(o, size->count() > 0); });
}
