#include "advface/core/faces.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <numeric>
#include <sstream>

#include "advface/core/text_file.h"
#include "tensor/backend.h"
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

// Why the box does not belong to a picture of this size; "" where it does.
std::string misfit(const FaceBox& box, int width, int height) {
  constexpr double kLeastSide = 8, kLeastShare = 0.5;
  const double w = double(box.x1) - double(box.x0), h = double(box.y1) - double(box.y0);
  const auto inside = [](double low, double high, double size) {
    return std::max(0.0, std::min(high, size) - std::max(low, 0.0));
  };
  const double share = inside(double(box.x0), double(box.x1), width) *
                       inside(double(box.y0), double(box.y1), height) / (w * h);
  std::ostringstream why;
  if (!(w >= kLeastSide && h >= kLeastSide && share >= kLeastShare)) {
    why << "the box to cut out is " << w << " x " << h << " from (" << box.x0 << ", " << box.y0 << "), "
        << (share < kLeastShare ? "of which more than half lies outside" : "too few to show a face");
  } else if (box.eyes) {
    const Eyes& e = *box.eyes;
    for (const auto& [x, y] : {std::pair(e.x1, e.y1), std::pair(e.x2, e.y2)})
      if (why.view().empty() && !(x >= 0 && y >= 0 && x <= float(width) && y <= float(height)))
        why << "the eye centre (" << x << ", " << y << ") lies outside";
  }
  return why.str();
}

std::vector<int64_t> range(int64_t begin, int64_t end) {
  std::vector<int64_t> indices(size_t(end - begin));
  std::iota(indices.begin(), indices.end(), begin);
  return indices;
}

}  // namespace

bool has_picture_ending(const std::string& path) {
  return std::find(std::begin(kEndings), std::end(kEndings), ending_of(path)) != std::end(kEndings);
}

FaceBox face_box(const Eyes& eyes, const std::string& face_template, double margin) {
  check(face_template == "arcface112", "no crop template named \"", face_template,
        "\"; there is: arcface112");
  check(margin > -0.5 && margin <= 4, "a crop margin of ", margin, "; it must lie in (-0.5, 4]");
  constexpr double kSide = 112, kLeftX = 38.29, kLeftY = 51.70, kRightX = 73.53, kRightY = 51.50;
  const double distance = std::hypot(double(eyes.x2) - eyes.x1, double(eyes.y2) - eyes.y1);
  check(std::isfinite(distance) && distance > 0 && eyes.x2 > eyes.x1, "eye centres (", eyes.x1, ", ", eyes.y1,
        ") and (", eyes.x2, ", ", eyes.y2, "): the first must be further left in the picture");
  const double scale =
      distance / std::hypot(kRightX - kLeftX, kRightY - kLeftY);  // source pixels per template pixel
  const double centre_x = (double(eyes.x1) + eyes.x2) / 2 + (kSide / 2 - (kLeftX + kRightX) / 2) * scale;
  const double centre_y = (double(eyes.y1) + eyes.y2) / 2 + (kSide / 2 - (kLeftY + kRightY) / 2) * scale;
  const double half = kSide / 2 * scale * (1 + margin);
  return {{float(centre_x - half), float(centre_y - half), float(centre_x + half), float(centre_y + half)},
          eyes};
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
  if (!list.empty()) return FaceSource(folder, read_name_list(list));
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

void FaceSource::set_max_broken_share(double share) {
  check(share >= 0 && share <= 1, "a share of broken pictures of ", share, "; 0 to 1 are possible");
  max_broken_share_ = share;
}

FaceBatch FaceSource::load(std::span<const int64_t> indices, const std::optional<FaceBox>& box, int size) {
  check(size >= 1 && size <= kMaxFaceSize, "faces of ", size, " pixels; 1 to ", kMaxFaceSize,
        " are possible");
  for (int64_t i : indices) check(i >= 0 && i < this->size(), folder_, ": picture ", i, " of ", this->size());
  const int64_t n = int64_t(indices.size()), face = int64_t(3) * size * size;
  Tensor images = host_tensor({n, 3, size, size});
  float* values = n > 0 ? images.mutable_data<float>() : nullptr;
  std::vector<std::string> errors(indices.size()), misfits(indices.size());
  parallel_for(n, [&](int64_t i) {
    try {
      const std::string path = (fs::path(folder_) / name(indices[size_t(i)])).string();
      const Image image = load_image(path);
      if (const std::string why = box ? misfit(*box, image.width, image.height) : ""; !why.empty()) {
        std::ostringstream text;
        text << path << ": is " << image.width << " x " << image.height << " pixels, and " << why
             << "; the eye centres must be those of these pictures, in pixels";
        misfits[size_t(i)] = text.str();
        return;
      }
      crop_resize_into(image, box ? CropBox(*box) : whole(image), size, size, values + i * face);
    } catch (const Error& e) {
      errors[size_t(i)] = e.what();
    }
  });
  for (const std::string& why : misfits) check(why.empty(), why);

  FaceBatch out;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t index = indices[size_t(i)];
    if (!errors[size_t(i)].empty()) {
      out.broken.push_back({index, errors[size_t(i)]});
      continue;
    }
    const int64_t to = int64_t(out.good.size());
    if (to != i) std::copy_n(values + i * face, face, values + to * face);
    out.good.push_back(index);
  }
  count_broken(out.broken);
  out.images = images.slice_batch(0, int64_t(out.good.size())).to(current_backend());
  return out;
}

void FaceSource::count_broken(std::span<const BrokenFace> broken) {
  for (const BrokenFace& face : broken) broken_.insert(face.index);
  if (double(broken_.size()) <= max_broken_share_ * double(size())) return;
  std::string some;
  for (size_t i = 0; i < broken.size() && i < 3; ++i) some += (i > 0 ? "; " : "") + broken[i].why;
  fail(folder_, ": ", broken_.size(), " of ", size(), " pictures cannot be read, more than the ",
       max_broken_share_ * 100, " % that are tolerated: ", some);
}

FaceBatch FaceSource::load(int64_t begin, int64_t end, const std::optional<FaceBox>& box, int size) {
  check(0 <= begin && begin <= end && end <= this->size(), folder_, ": pictures [", begin, ", ", end, ") of ",
        this->size());
  return load(range(begin, end), box, size);
}

FaceCache::FaceCache(FaceSource& source, const std::optional<FaceBox>& box, int size)
    : FaceCache(source, range(0, source.size()), box, size) {}

FaceCache::FaceCache(FaceSource& source, std::span<const int64_t> indices, const std::optional<FaceBox>& box,
                     int size)
    : size_(size) {
  const size_t face = size_t(3) * size_t(size) * size_t(size);
  BackendScope host(host_backend());
  for (size_t begin = 0; begin < indices.size(); begin += kCacheChunk) {
    const FaceBatch chunk =
        source.load(indices.subspan(begin, std::min<size_t>(kCacheChunk, indices.size() - begin)), box, size);
    if (begin == 0) pixels_.reserve(face * indices.size());
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
