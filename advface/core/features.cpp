#include "advface/core/features.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <sstream>

#include "advface/core/face_stream.h"
#include "advface/core/text_file.h"
#include "tensor/backend.h"
#include "tensor/hash.h"
#include "tensor/io/atomic_file.h"
#include "tensor/io/npy.h"

namespace advf {
namespace {

namespace fs = std::filesystem;

std::string cache_key(const Recogniser& recogniser, const std::string& cut, const FaceSource& faces,
                      const FaceCut& face_cut, bool mirrored) {
  // Counts up whenever the same picture and the same card come to give other features.
  constexpr int kVersion = 6;
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
  // Backends differ in the last bits, and one of 16 bits in more.
  text << current_backend().name() << '\n';
  if (mirrored) text << "mirrored\n";
  if (!face_cut.is_whole()) text << face_cut.key() << '\n';
  for (int64_t i = 0; i < faces.size(); ++i) {
    const fs::path path = faces.path(i);
    std::error_code ignored;
    text << faces.name(i) << ' ' << fs::file_size(path, ignored) << ' '
         << fs::last_write_time(path, ignored).time_since_epoch().count() << '\n';
  }
  return "features-" + hex(fnv1a(text.str()));
}

}  // namespace

void check_same_crop(const Recogniser& other, const Recogniser& recogniser) {
  const FaceTemplate &a = other.card().crop, &b = recogniser.card().crop;
  const auto same = [](const Point& p, const Point& q) { return p.x == q.x && p.y == q.y; };
  const std::vector<Point> in_a = a.in_crop(), in_b = b.in_crop();
  check(std::equal(in_a.begin(), in_a.end(), in_b.begin(), in_b.end(), same), other.card().path,
        ": wants faces cut out by \"", a.face_template, "\" with a margin of ", a.margin,
        ", but images are made for ", recogniser.card().path, ", by \"", b.face_template, "\" with ",
        b.margin, "; give a recogniser of the same crop");
}

void check_another(const Recogniser& other, const Recogniser& recogniser) {
  check(other.fingerprint() != recogniser.fingerprint(), other.card().path,
        ": is the deployed recogniser itself (", recogniser.card().path, " has the same network, ",
        recogniser.fingerprint(), "); name another one, or none");
}

std::string fault_of_feature(std::span<const float> row, FeatureDomain domain) {
  if (!std::all_of(row.begin(), row.end(), [](float v) { return std::isfinite(v); }))
    return "its feature is not finite";
  if (domain != FeatureDomain::sphere || is_unit_norm(norm(row))) return "";
  return "its embedding has no direction that can be told";
}

namespace {

// What the recogniser makes of a picture may be no feature: an all-black picture divided by its own contrast.
// Such a picture is as broken as one that cannot be read. Where it is so for every picture, they are not at
// fault.
FeatureBatch usable_rows(FaceBatch batch, const Tensor& features, const Recogniser& recogniser,
                         FeatureDomain domain, FaceSource& faces, const ExtractOptions& options) {
  const Tensor host = features.on_host();
  const size_t d = size_t(host.numel()) / batch.good.size();
  std::vector<int64_t> rows;
  std::vector<BrokenFace> broken;
  std::string fault;
  for (size_t i = 0; i < batch.good.size(); ++i) {
    const std::string here = fault_of_feature({host.data<float>() + i * d, d}, domain);
    if (here.empty()) {
      rows.push_back(int64_t(i));
      continue;
    }
    fault = here;
    const int64_t picture = batch.good[i];
    broken.push_back({picture,
                      (fs::path(faces.folder()) / faces.name(picture)).string() + ": " + here + "; " +
                          recogniser.card().model + " cannot take this picture",
                      Reason::no_feature});
  }
  check(!rows.empty() || batch.good.size() < 2, recogniser.card().path, ": of each of ", batch.good.size(),
        " pictures, ", faces.name(batch.good[0]), " the first, ", fault, "; the network ",
        recogniser.card().model, " is broken, or the card's \"mean\" and \"scale\" are not its own");
  for (const BrokenFace& face : broken) {
    if (options.broken) options.broken(face);
    faces.count_broken(std::span(&face, 1));
  }
  if (broken.empty()) return {std::move(batch.good), features, batch.images, std::move(batch.found)};
  FeatureBatch usable;
  if (rows.empty()) return usable;
  for (int64_t r : rows) {
    usable.indices.push_back(batch.good[size_t(r)]);
    if (!batch.found.empty()) usable.found.push_back(batch.found[size_t(r)]);
  }
  usable.features = FeatureRows(host).batch(rows);
  usable.images = FeatureRows(batch.images.on_host()).batch(rows);
  return usable;
}

}  // namespace

void for_each_feature_batch(const Recogniser& recogniser, const std::string& cut, FaceSource& faces,
                            const FaceCut& face_cut, const ExtractOptions& options,
                            const std::function<void(const FeatureBatch& batch)>& take) {
  const auto& input = recogniser.card().input;
  check(input.width == input.height, recogniser.card().path, ": the input is ", input.width, "x",
        input.height, "; only square inputs can be cropped to");
  recogniser.cut_point(cut);  // a wrong name is found before the work starts
  std::vector<int64_t> all(size_t(faces.size()));
  std::iota(all.begin(), all.end(), 0);
  FaceStream stream(faces, std::move(all), face_cut, int(input.width), options.batch);
  while (!stream.done()) {
    FaceBatch batch = stream.next();
    if (options.broken)
      for (const BrokenFace& face : batch.broken) options.broken(face);
    if (!batch.good.empty()) {
      if (options.mirrored) batch.images = mirrored(batch.images);
      const Tensor features = recogniser.features(recogniser.preprocess(batch.images), cut);
      const FeatureBatch usable =
          usable_rows(std::move(batch), features, recogniser, recogniser.domain(cut), faces, options);
      if (!usable.indices.empty()) take(usable);
    }
    if (options.progress && !options.progress(stream.pictures_done())) throw Interrupted();
  }
}

namespace {

// What was left out when the features of a cache were made: a line with the picture's number, reason and
// explanation each, and of a single face its number in the picture.
std::string left_out_of_cache(const FaceSource& faces) {
  std::string text;
  const auto write = [&](int64_t index, Reason reason, std::string why, const std::string& more) {
    std::replace_if(
        why.begin(), why.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
    text += std::to_string(index) + "\t" + name_of(reason) + "\t" + why + more + "\n";
  };
  for (const auto& [index, face] : faces.left_out()) write(index, face.reason, face.why, "");
  for (const auto& [which, face] : faces.refused_faces())
    write(which.first, face.reason, face.why, "\t" + std::to_string(face.number));
  return text;
}

// What was left out, as the file has it.
struct LeftOutOfCache {
  std::vector<BrokenFace> pictures;
  std::vector<std::pair<int64_t, RefusedFace>> faces;  // of a picture
};
LeftOutOfCache parse_left_out(const std::string& text, const std::string& path, int64_t pictures) {
  LeftOutOfCache all;
  for (const std::string_view line : split_lines(text, path)) {
    const auto fields = split_fields(line, '\t');
    int index = 0, number = 0;
    check((fields.size() == 3 || (fields.size() == 4 && parse_number(fields[3], number))) &&
              parse_number(fields[0], index) && index < pictures,
          path, ": not a list of what was left out");
    const Reason reason = reason_from(std::string(fields[1]), path);
    if (fields.size() == 3)
      all.pictures.push_back({index, std::string(fields[2]), reason});
    else
      all.faces.push_back({index, {number, reason, std::string(fields[2])}});
  }
  return all;
}

// The files of a set of features that is kept, and a file with a checksum of each of them, without which, or
// with others, they are not believed.
struct KeptFiles {
  std::string rows, index, left_out, sums;

  explicit KeptFiles(const std::string& base)
      : rows(base + ".npy"),
        index(base + ".index.npy"),
        left_out(base + ".left_out.tsv"),
        sums(base + ".sums.tsv") {}
  bool are_there() const {
    return std::ranges::all_of(std::initializer_list<std::string>{rows, index, left_out, sums},
                               [](const std::string& file) { return fs::exists(file); });
  }
};

// Of so many rows.
class RowSum {
 public:
  void add(const Tensor& rows) {
    const Tensor host = rows.on_host();
    sum_ = fnv1a({static_cast<const std::byte*>(host.raw()), size_t(host.bytes())}, sum_);
  }
  uint64_t value() const { return sum_; }

 private:
  uint64_t sum_ = kFnvStart;
};

std::string sums_text(uint64_t rows, std::span<const int64_t> index, const std::string& left_out) {
  return "rows\t" + hex(rows) + "\nindex\t" + hex(fnv1a(std::as_bytes(index))) + "\nleft out\t" +
         hex(fnv1a(left_out)) + "\n";
}

// Throws Error naming the file that is damaged.
FeatureSet read_kept(const KeptFiles& files, const Recogniser& recogniser, const std::string& cut,
                     const FaceSource& faces, LeftOutOfCache& left_out) {
  FeatureSet set;
  set.features = FeatureRows::open(files.rows);
  const Tensor index = load_npy(files.index);
  check(set.features.row() == recogniser.feature_shape(cut) && index.dtype() == DType::i64 &&
            index.shape() == Shape{set.features.count()},
        files.rows, ": not the features of these pictures");
  set.indices = index.to_vector<int64_t>();
  for (const int64_t i : set.indices)
    check(i >= 0 && i < faces.size(), files.index, ": there is no picture ", i);
  const std::string text = read_text(files.left_out);
  left_out = parse_left_out(text, files.left_out, faces.size());
  RowSum sum;
  const int64_t block =
      std::max<int64_t>(1, (int64_t(1) << 22) / std::max<int64_t>(1, set.features.row().numel()));
  for (int64_t begin = 0; begin < set.features.count(); begin += block)
    sum.add(set.features.range(begin, std::min(begin + block, set.features.count())));
  check(read_text(files.sums) == sums_text(sum.value(), set.indices, text), files.rows,
        ": does not hold what was written there");
  return set;
}

}  // namespace

FeatureSet extract_features(const Recogniser& recogniser, const std::string& cut, FaceSource& faces,
                            const FaceCut& face_cut, const std::string& cache_dir,
                            const ExtractOptions& options) {
  const fs::path base =
      cache_dir.empty() ? fs::path()
                        : fs::path(cache_dir) / cache_key(recogniser, cut, faces, face_cut, options.mirrored);
  const KeptFiles files(base.string());
  if (!cache_dir.empty() && files.are_there()) {
    LeftOutOfCache left_out;
    std::optional<FeatureSet> kept;
    try {
      kept = read_kept(files, recogniser, cut, faces, left_out);
    } catch (const Error& e) {
      // It can be made again, so that nobody has to look for a file among many.
      if (options.told) options.told(std::string(e.what()) + "; these features are made again");
    }
    if (kept) {
      for (const auto& [picture, face] : left_out.faces) faces.count_refused(picture, face);
      faces.count_broken(left_out.pictures);
      if (options.progress) options.progress(faces.size());
      return std::move(*kept);
    }
  }

  FeatureSet set;
  const Shape& row = recogniser.feature_shape(cut);
  std::optional<NpyWriter> cache;
  if (!cache_dir.empty()) {
    std::error_code error;
    fs::create_directories(cache_dir, error);
    check(fs::is_directory(cache_dir), "--cache ", cache_dir,
          ": is no folder and cannot be made one: ", error ? error.message() : "a file has this name");
    cache.emplace(files.rows, DType::f32, row);
  }
  RowSum sum;
  FeatureSpool spool(row, options.memory_bytes);
  for_each_feature_batch(recogniser, cut, faces, face_cut, options, [&](const FeatureBatch& batch) {
    set.indices.insert(set.indices.end(), batch.indices.begin(), batch.indices.end());
    if (cache)
      cache->append_rows(batch.features), sum.add(batch.features);
    else
      spool.append(batch.features);
  });
  if (cache) {
    AtomicFile left_out(files.left_out), sums(files.sums);
    const std::string left_out_text = left_out_of_cache(faces);
    left_out.write(left_out_text);
    sums.write(sums_text(sum.value(), set.indices, left_out_text));
    NpyWriter index(files.index, DType::i64, {});
    index.append_rows(Tensor::from(set.indices, {int64_t(set.indices.size())}));
    // None appears where a full disk has no room for another.
    left_out.finish();
    sums.finish();
    index.finish();
    cache->finish();
    left_out.commit();
    sums.commit();
    index.commit();
    cache->commit();
    set.features = FeatureRows::open(files.rows);
  } else {
    set.features = spool.finish();
  }
  return set;
}

}  // namespace advf
