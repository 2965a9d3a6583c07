#include "advface/core/features.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <sstream>

#include "tensor/hash.h"
#include "tensor/io/npy.h"

namespace advf {
namespace {

namespace fs = std::filesystem;

std::string cache_key(const Recogniser& recogniser, const std::string& cut, const FaceSource& faces,
                      const std::optional<FaceBox>& box, bool mirrored) {
  // Counts up whenever the same picture and the same card come to give other features.
  constexpr int kVersion = 4;
  std::ostringstream text;
  text.precision(17);  // two numbers that differ are two texts
  const auto& card = recogniser.card();
  text << "version " << kVersion << '\n'
       << recogniser.fingerprint() << '\n'
       << cut << '\n'
       << card.input.width << 'x' << card.input.height << ' ' << card.input.channels << ' '
       << (card.input.channels_last ? "NHWC" : "NCHW") << ' ' << card.embedding.normalise;
  for (const auto& numbers : {card.input.mean, card.input.scale})
    for (const double v : numbers) text << ' ' << v;
  text << '\n';
  if (mirrored) text << "mirrored\n";
  if (box) text << box->x0 << ' ' << box->y0 << ' ' << box->x1 << ' ' << box->y1 << '\n';
  for (const std::string& name : faces.names()) {
    const fs::path path = fs::path(faces.folder()) / name;
    std::error_code ignored;
    text << name << ' ' << fs::file_size(path, ignored) << ' '
         << fs::last_write_time(path, ignored).time_since_epoch().count() << '\n';
  }
  return "features-" + hex(fnv1a(text.str()));
}

}  // namespace

std::optional<FaceBox> crop_for(const Recogniser& recogniser, const std::optional<Eyes>& eyes) {
  if (!eyes) return std::nullopt;
  return face_box(*eyes, recogniser.card().crop.face_template, recogniser.card().crop.margin);
}

void check_same_crop(const Recogniser& other, const Recogniser& recogniser) {
  const RecogniserCard::Crop &a = other.card().crop, &b = recogniser.card().crop;
  check(a.face_template == b.face_template && a.margin == b.margin, other.card().path,
        ": wants faces cut out by \"", a.face_template, "\" with a margin of ", a.margin,
        ", but images are made for ", recogniser.card().path, ", by \"", b.face_template, "\" with ",
        b.margin, "; give a recogniser of the same crop");
}

void check_another(const Recogniser& other, const Recogniser& recogniser) {
  check(other.fingerprint() != recogniser.fingerprint(), other.card().path,
        ": is the deployed recogniser itself (", recogniser.card().path, " has the same network, ",
        recogniser.fingerprint(), "); name another one, or none");
}

namespace {

// Why a row is no feature; empty where it is one. An embedding that is all but zero has no direction, and one
// beyond what can be normalised keeps a wrong norm.
std::string fault_of(std::span<const float> row, FeatureDomain domain) {
  if (!std::all_of(row.begin(), row.end(), [](float v) { return std::isfinite(v); }))
    return "its feature is not finite";
  if (domain != FeatureDomain::sphere || is_unit_norm(norm(row))) return "";
  return "its embedding has no direction that can be told";
}

// What the recogniser makes of a picture may be no feature: an all-black picture divided by its own contrast.
// Such a picture is as broken as one that cannot be read. Where it is so for every picture, they are not at
// fault.
std::pair<std::vector<int64_t>, Tensor> usable_rows(const std::vector<int64_t>& pictures,
                                                    const Tensor& features, const Recogniser& recogniser,
                                                    FeatureDomain domain, FaceSource& faces,
                                                    const ExtractOptions& options) {
  const Tensor host = features.on_host();
  const size_t d = size_t(host.numel()) / pictures.size();
  std::vector<int64_t> good, rows;
  std::vector<BrokenFace> broken;
  std::string fault;
  for (size_t i = 0; i < pictures.size(); ++i) {
    const std::string here = fault_of({host.data<float>() + i * d, d}, domain);
    if (here.empty()) {
      good.push_back(pictures[i]);
      rows.push_back(int64_t(i));
      continue;
    }
    fault = here;
    broken.push_back({pictures[i], (fs::path(faces.folder()) / faces.name(pictures[i])).string() + ": " +
                                       here + "; " + recogniser.card().model + " cannot take this picture"});
  }
  check(!good.empty() || pictures.size() < 2, recogniser.card().path, ": of each of ", pictures.size(),
        " pictures, ", faces.name(pictures.empty() ? 0 : pictures[0]), " the first, ", fault,
        "; the network ", recogniser.card().model,
        " is broken, or the card's \"mean\" and \"scale\" are not its own");
  for (const BrokenFace& face : broken) {
    if (options.broken) options.broken(face);
    faces.count_broken(std::span(&face, 1));
  }
  if (good.size() == pictures.size()) return {good, features};
  if (good.empty()) return {};
  return {good, FeatureRows(host).batch(rows)};
}

}  // namespace

void for_each_feature_batch(
    const Recogniser& recogniser, const std::string& cut, FaceSource& faces,
    const std::optional<FaceBox>& box, const ExtractOptions& options,
    const std::function<void(const std::vector<int64_t>& indices, const Tensor& features)>& take) {
  const auto& input = recogniser.card().input;
  check(input.width == input.height, recogniser.card().path, ": the input is ", input.width, "x",
        input.height, "; only square inputs can be cropped to");
  recogniser.cut_point(cut);  // a wrong name is found before the work starts
  for (int64_t begin = 0; begin < faces.size(); begin += options.batch) {
    const int64_t end = std::min(faces.size(), begin + options.batch);
    const FaceBatch batch = faces.load(begin, end, box, int(input.width));
    if (options.broken)
      for (const BrokenFace& face : batch.broken) options.broken(face);
    if (!batch.good.empty()) {
      const Tensor images = options.mirrored ? mirrored(batch.images) : batch.images;
      const auto [good, features] =
          usable_rows(batch.good, recogniser.features(recogniser.preprocess(images), cut), recogniser,
                      recogniser.domain(cut), faces, options);
      if (!good.empty()) take(good, features);
    }
    if (options.progress && !options.progress(end)) throw Interrupted();
  }
}

FeatureSet extract_features(const Recogniser& recogniser, const std::string& cut, FaceSource& faces,
                            const std::optional<FaceBox>& box, const std::string& cache_dir,
                            const ExtractOptions& options) {
  const fs::path base = cache_dir.empty()
                            ? fs::path()
                            : fs::path(cache_dir) / cache_key(recogniser, cut, faces, box, options.mirrored);
  const std::string rows_file = base.string() + ".npy", index_file = base.string() + ".index.npy";
  if (!cache_dir.empty() && fs::exists(rows_file) && fs::exists(index_file)) {
    const FeatureRows rows = FeatureRows::open(rows_file);
    check_rows(rows, recogniser.domain(cut), rows_file + ", a feature cache to be deleted");
    const Tensor index = load_npy(index_file);
    check(rows.row() == recogniser.feature_shape(cut) && index.dtype() == DType::i64 &&
              index.shape() == Shape{rows.count()},
          rows_file, ": not a feature cache; delete the file");
    for (int64_t i : index.to_vector<int64_t>())
      check(i >= 0 && i < faces.size(), index_file, ": image ", i, " does not exist; delete the file");
    if (options.progress) options.progress(faces.size());
    return {index.to_vector<int64_t>(), rows};
  }

  FeatureSet set;
  const Shape& row = recogniser.feature_shape(cut);
  std::optional<NpyWriter> cache;
  if (!cache_dir.empty()) {
    std::error_code error;
    fs::create_directories(cache_dir, error);
    check(fs::is_directory(cache_dir), "--cache ", cache_dir,
          ": is no folder and cannot be made one: ", error ? error.message() : "a file has this name");
    cache.emplace(rows_file, DType::f32, row);
  }
  FeatureSpool spool(row, options.memory_bytes);
  for_each_feature_batch(recogniser, cut, faces, box, options,
                         [&](const std::vector<int64_t>& indices, const Tensor& features) {
                           set.indices.insert(set.indices.end(), indices.begin(), indices.end());
                           if (cache)
                             cache->append_rows(features);
                           else
                             spool.append(features);
                         });
  if (cache) {
    save_npy(index_file, Tensor::from(set.indices, {int64_t(set.indices.size())}));
    cache->commit();
    set.features = FeatureRows::open(rows_file);
  } else {
    set.features = spool.finish();
  }
  return set;
}

}  // namespace advf
