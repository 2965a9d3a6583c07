#include "advface/core/faces.h"

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <mutex>
#include <numeric>

#include "advface/core/face_stream.h"
#include "advface/core/text_file.h"
#include "advface/detect/face_list.h"
#include "tensor/backend.h"
#include "tensor/io/input_file.h"
#include "tensor/parallel.h"

namespace advf {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxFaceSize = 2048;
constexpr int64_t kCacheChunk = 256;  // pictures decoded to f32 at a time

std::string ending_of(const fs::path& path) {
  std::string ext = path.extension().string();
  std::transform(ext.begin(), ext.end(), ext.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
  return ext;
}

constexpr const char* kEndings[] = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".pgm", ".ppm"};

// A name as it can stand in a line of text.
std::string printable(const std::string& name) {
  std::string out;
  for (const char c : name) {
    char code[8];
    std::snprintf(code, sizeof code, "\\x%02x", unsigned(uint8_t(c)));
    out += uint8_t(c) < 32 || c == 127 ? code : std::string(1, c);
  }
  return out;
}

// Adds the pictures below the folder to `names`, sorted, and counts what is left out.
void list_pictures(const std::string& folder, std::vector<std::string>& names, PassedOver& passed_over) {
  try {
    const auto options = fs::directory_options::follow_directory_symlink;
    for (auto it = fs::recursive_directory_iterator(folder, options);
         it != fs::recursive_directory_iterator(); ++it) {
      check(it.depth() < 32, folder, ": folders nested more than 32 deep; a link that leads back?");
      std::error_code none;  // a link that leads to itself is no folder and no file
      if (it->is_directory(none)) continue;
      const std::string name = it->path().lexically_relative(folder).generic_string();
      // What macOS puts beside a file on a foreign disk is no picture, whatever its ending.
      const bool apple_double = it->path().filename().string().starts_with("._");
      const std::string ending = apple_double ? "._*" : ending_of(it->path());
      const bool leads_nowhere = it->is_symlink(none) && !it->exists(none);
      const bool picture = !apple_double && has_picture_ending(name);
      if (!picture && !leads_nowhere)
        ++passed_over.by_ending[ending];
      else if (!it->is_regular_file(none))
        passed_over.unusable.push_back(printable(name) + ": leads to no file");
      else if (!is_safe_relative_path(name))
        passed_over.unusable.push_back(printable(name) +
                                       ": no list of files can hold this name; rename the file");
      else
        names.push_back(name);
    }
  } catch (const fs::filesystem_error& e) {
    fail(folder, ": cannot be listed: ", e.code().message());
  }
  std::sort(names.begin(), names.end());
  std::sort(passed_over.unusable.begin(), passed_over.unusable.end());
}

// Tensors are filled in host memory and then go to where new tensors live.
Tensor host_tensor(const Shape& shape) {
  BackendScope host(host_backend());
  return Tensor::empty(shape);
}

std::vector<int64_t> range(int64_t begin, int64_t end) {
  std::vector<int64_t> indices(size_t(end - begin));
  std::iota(indices.begin(), indices.end(), begin);
  return indices;
}

// How many pixels may be decoded at a time. A picture that has more than all waits until nobody else decodes.
class PixelBudget {
 public:
  explicit PixelBudget(int64_t most) : most_(most) {}
  class Share {
   public:
    Share(PixelBudget& budget, int64_t pixels) : budget_(budget), pixels_(pixels) {
      std::unique_lock lock(budget_.mutex_);
      budget_.freed_.wait(lock,
                          [&] { return budget_.taken_ == 0 || budget_.taken_ + pixels_ <= budget_.most_; });
      budget_.taken_ += pixels_;
    }
    ~Share() {
      {
        const std::lock_guard lock(budget_.mutex_);
        budget_.taken_ -= pixels_;
      }
      budget_.freed_.notify_all();
    }
    Share(const Share&) = delete;

   private:
    PixelBudget& budget_;
    int64_t pixels_;
  };

 private:
  int64_t most_, taken_ = 0;
  std::mutex mutex_;
  std::condition_variable freed_;
};

}  // namespace
bool has_picture_ending(const std::string& path) {
  return std::find(std::begin(kEndings), std::end(kEndings), ending_of(path)) != std::end(kEndings);
}

int64_t PassedOver::count() const {
  int64_t n = int64_t(unusable.size());
  for (const auto& [unused, files] : by_ending) n += files;
  return n;
}

std::string PassedOver::summary() const {
  if (count() == 0) return "";
  std::vector<std::pair<int64_t, std::string>> kinds;
  for (const auto& [ending, files] : by_ending)
    kinds.emplace_back(-files, ending.empty() ? "without an ending" : printable(ending));
  std::sort(kinds.begin(), kinds.end());  // the most frequent first
  std::string text =
      std::to_string(count()) + (count() == 1 ? " file was" : " files were") + " passed over: ";
  const char* between = "";
  for (const auto& [files, kind] : kinds) {
    text += between + std::to_string(-files) + " " + kind;
    between = ", ";
  }
  if (!unusable.empty()) text += between + std::to_string(unusable.size()) + " unusable";
  return text;
}

FaceSource FaceSource::open(const std::string& folder, const std::string& list) {
  std::error_code ignored;
  check(fs::is_directory(folder, ignored), folder, ": is not a folder");
  if (!list.empty()) {
    FaceSource source(folder, read_name_list(list));
    for (const std::string& name : source.names_)
      check(FaceName::parse(name).number == 0 || !fs::exists(fs::path(folder) / name, ignored), list, ": ",
            name, " is a file, and could be a face of another picture; rename the file");
    return source;
  }
  FaceSource source(folder, {});
  list_pictures(folder, source.names_, source.passed_over_);
  if (source.size() == 0) {
    std::string endings, others = source.passed_over_.summary();
    for (const char* e : kEndings) endings += (endings.empty() ? "" : ", ") + std::string(e + 1);
    fail(folder, ": no pictures (", endings, ") in it or below it", others.empty() ? "" : "; ", others);
  }
  return source;
}

FaceSource::FaceSource(std::string folder, std::vector<std::string> names)
    : folder_(std::move(folder)), names_(std::move(names)) {}

void FaceSource::keep_range(int64_t begin, int64_t end) {
  of_others_ += size() - (end - begin);
  names_ = {names_.begin() + begin, names_.begin() + end};
}

void FaceSource::set_max_broken_share(double share) {
  check(share >= 0 && share <= 1, "a share of broken pictures of ", share, "; 0 to 1 are possible");
  max_broken_share_ = share;
}

void FaceSource::set_max_rejected_share(double share) {
  check(share >= 0 && share <= 1, "a share of pictures without a face of ", share, "; 0 to 1 are possible");
  max_rejected_share_ = share;
}

FaceName FaceName::parse(const std::string& name) {
  const size_t at = name.rfind('#');
  int number = 0;
  if (at == std::string::npos || !parse_number(std::string_view(name).substr(at + 1), number) || number < 1 ||
      !has_picture_ending(name.substr(0, at)))
    return {name, 0};
  return {name.substr(0, at), number};
}

std::string FaceName::of(const std::string& listed, const FoundFace& face, bool several) {
  if (!several || face.number == 1 || parse(listed).number > 0) return listed;
  return listed + "#" + std::to_string(face.number);
}

std::string FaceSource::path(int64_t i) const {
  return (fs::path(folder_) / FaceName::parse(name(i)).picture).string();
}

FaceBatch FaceSource::load(std::span<const int64_t> indices, const FaceCut& cut, int size) {
  return load(indices, cut, size,
              [&](size_t i) { return read_file(path(indices[i]), ImageLimits().max_file_bytes); });
}

FaceBatch FaceSource::load(std::span<const int64_t> indices, const FaceCut& cut, int size,
                           const FileBytes& bytes_of) {
  check(size >= 1 && size <= kMaxFaceSize, "faces of ", size, " pixels; 1 to ", kMaxFaceSize,
        " are possible");
  for (int64_t i : indices) check(i >= 0 && i < this->size(), folder_, ": picture ", i, " of ", this->size());
  std::vector<CutResult> results(indices.size());
  PixelBudget budget(kMostPixels);
  parallel_for(int64_t(indices.size()), [&](int64_t i) {
    CutResult& result = results[size_t(i)];
    const std::string& file = name(indices[size_t(i)]);
    const std::string path = this->path(indices[size_t(i)]);
    try {
      const std::vector<std::byte> bytes = bytes_of(size_t(i));
      const PixelBudget::Share share(budget, pixels_of(bytes, path));
      result = cut.cut(decode_image(bytes, path), file, path, size);
    } catch (const Error& e) {
      result = {};
      result.why = e.what();
    }
  });
  int64_t faces = 0;
  for (const CutResult& result : results) {
    check(!result.ends_run, result.why);
    faces += int64_t(result.faces);
  }

  FaceBatch out;
  out.images = host_tensor({faces, 3, size, size});
  float* values = faces > 0 ? out.images.mutable_data<float>() : nullptr;
  for (size_t i = 0; i < results.size(); ++i) {
    CutResult& result = results[i];
    if (result.faces == 0) out.broken.push_back({indices[i], result.why, result.reason});
    for (RefusedFace& face : result.refused) count_refused(indices[i], std::move(face));
    out.good.insert(out.good.end(), result.faces, indices[i]);
    values = std::copy(result.pixels.begin(), result.pixels.end(), values);
    out.found.insert(out.found.end(), result.found.begin(), result.found.end());
  }
  count_broken(out.broken);
  out.images = out.images.to(current_backend());
  return out;
}

int64_t FaceSource::broken_count() const {
  return std::count_if(left_out_.begin(), left_out_.end(),
                       [](const auto& f) { return f.second.is_broken(); });
}

void FaceSource::count_refused(int64_t index, RefusedFace face) {
  const FaceOfPicture which(index, face.number);
  refused_faces_.emplace(which, std::move(face));
}

std::string FaceSource::listed_before_the_end() const {
  if (left_out_file_.empty()) return "";
  try {
    write_left_out(left_out_file_, *this);
  } catch (const Error& e) {
    return std::string("; they are not listed: ") + e.what();
  }
  return "; all up to here are listed in " + left_out_file_;
}

void FaceSource::count_broken(std::span<const BrokenFace> broken) {
  for (const BrokenFace& face : broken) left_out_.emplace(face.index, face);
  const auto judge = [&](bool unreadable, double most, const char* what, const char* option) {
    int64_t count = 0;
    for (const auto& [unused, face] : left_out_) count += face.is_broken() == unreadable ? 1 : 0;
    const int64_t all = size() + of_others_;
    if (double(count) <= most * double(all)) return;
    std::string some;
    int named = 0;
    for (const BrokenFace& face : broken)
      if (face.is_broken() == unreadable && named++ < 3) some += (some.empty() ? "" : "; ") + face.why;
    fail(folder_, ": ", count, " of ", size(), " pictures ", what, ", more than the ", most * 100,
         of_others_ == 0 ? " %" : " % of all " + std::to_string(all), " that are tolerated (", option,
         "): ", some, listed_before_the_end());
  };
  judge(true, max_broken_share_, "cannot be read", "--max-broken");
  judge(false, max_rejected_share_, "give no face to work with", "--max-rejected");
}

FaceBatch FaceSource::load(int64_t begin, int64_t end, const FaceCut& cut, int size) {
  check(0 <= begin && begin <= end && end <= this->size(), folder_, ": pictures [", begin, ", ", end, ") of ",
        this->size());
  return load(range(begin, end), cut, size);
}

FaceCache::FaceCache(FaceSource& source, const FaceCut& cut, int size)
    : FaceCache(source, range(0, source.size()), cut, size) {}

FaceCache::FaceCache(FaceSource& source, std::span<const int64_t> indices, const FaceCut& cut, int size)
    : size_(size) {
  const size_t face = size_t(3) * size_t(size) * size_t(size);
  BackendScope host(host_backend());
  FaceStream stream(source, {indices.begin(), indices.end()}, cut, size, kCacheChunk);
  while (!stream.done()) {
    const bool first = stream.pictures_done() == 0;
    const FaceBatch chunk = stream.next();
    if (first) pixels_.reserve(face * indices.size());
    if (chunk.good.empty()) continue;
    const float* values = chunk.images.data<float>();
    for (size_t i = 0; i < face * chunk.good.size(); ++i)
      pixels_.push_back(uint8_t(std::lround(values[i] * 255.0f)));
    source_index_.insert(source_index_.end(), chunk.good.begin(), chunk.good.end());
  }
}

Tensor FaceCache::batch(std::span<const int64_t> positions) const {
  for (int64_t p : positions) check(p >= 0 && p < count(), "face ", p, " of a cache of ", count());
  const int64_t n = int64_t(positions.size());
  const size_t face = size_t(3) * size_t(size_) * size_t(size_);
  Tensor out = host_tensor({n, 3, size_, size_});
  parallel_for(n, [&, values = n > 0 ? out.mutable_data<float>() : nullptr](int64_t i) {
    const uint8_t* from = &pixels_[face * size_t(positions[size_t(i)])];
    float* to = values + face * size_t(i);
    for (size_t k = 0; k < face; ++k) to[k] = float(from[k]) / 255.0f;
  });
  return out.to(current_backend());
}

Tensor FaceCache::batch(int64_t begin, int64_t end) const {
  check(0 <= begin && begin <= end && end <= count(), "faces [", begin, ", ", end, ") of a cache of ",
        count());
  return batch(range(begin, end));
}

Tensor mirrored(const Tensor& images, const std::vector<uint8_t>& which) {
  check(images.shape().rank() == 4 && images.dtype() == DType::f32 &&
            (which.empty() || which.size() == size_t(images.dim(0))),
        "pictures to mirror must be (N,C,H,W) in f32, not ", images.shape(), ", and ", which.size(),
        " of them were named");
  const Tensor host = images.on_host();
  Tensor out = host_tensor(images.shape());
  const int64_t width = images.dim(3), size = images.shape().numel(1, 4);
  parallel_for(images.dim(0), [&, values = out.mutable_data<float>()](int64_t i) {
    const float* from = host.data<float>() + i * size;
    float* to = values + i * size;
    const bool turn = which.empty() || which[size_t(i)] != 0;
    for (int64_t row = 0; row < size; row += width)
      for (int64_t x = 0; x < width; ++x) to[row + x] = from[row + (turn ? width - 1 - x : x)];
  });
  return out.to(current_backend());
}

}  // namespace advf
