#include "advface/core/feature_rows.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

#include "tensor/backend.h"
#include "tensor/hash.h"
#include "tensor/io/npy.h"

namespace advf {
namespace {

Tensor host_rows(int64_t n, const Shape& row) {
  const BackendScope host(host_backend());
  return Tensor::empty(with_rows(n, row));
}

}  // namespace

FeatureRows::FeatureRows(const Tensor& rows) {
  check(rows.shape().rank() >= 2 && rows.dtype() == DType::f32, "features of shape ", rows.shape(), " (",
        name_of(rows.dtype()), "); one f32 row per feature is needed");
  count_ = rows.dim(0);
  row_ = row_of(rows.shape());
  const size_t bytes = size_t(row_.numel()) * sizeof(float);
  read_ = [host = rows.on_host(), bytes](int64_t begin, int64_t end, std::byte* out) {
    std::memcpy(out, host.raw() + size_t(begin) * bytes, size_t(end - begin) * bytes);
  };
}

FeatureRows FeatureRows::open(const std::string& path) {
  auto reader = std::make_shared<NpyReader>(path);
  const int rank = reader->shape().rank();
  check(rank == 2 || rank == 4, path, " has shape ", reader->shape(),
        "; features are (rows, D) or (rows, C, H, W)");
  return {reader->rows(), row_of(reader->shape()), [reader](int64_t begin, int64_t end, std::byte* out) {
            const BackendScope host(host_backend());
            const Tensor rows = reader->read_rows(begin, end);
            std::memcpy(out, rows.raw(), rows.bytes());
          }};
}

std::string FeatureRows::sample_hash() const {
  constexpr int64_t kSampled = 64;
  std::vector<int64_t> rows;
  const int64_t n = std::min(count_, kSampled);
  for (int64_t i = 0; i < n; ++i) rows.push_back(i * count_ / n);
  const Tensor some = at(rows);
  return hex(fnv1a({some.raw(), some.bytes()}, fnv1a(shape().str())));
}

std::string FeatureRows::hash(const std::function<void(const Tensor& some)>& each) const {
  constexpr int64_t kBytesAtOnce = int64_t(8) << 20;
  const int64_t block = std::max<int64_t>(1, kBytesAtOnce / (row_.numel() * int64_t(sizeof(float))));
  uint64_t all = fnv1a(shape().str());
  for (int64_t begin = 0; begin < count_; begin += block) {
    const Tensor some = range(begin, std::min(count_, begin + block));
    all = fnv1a({some.raw(), some.bytes()}, all);
    if (each) each(some);
  }
  return hex(all);
}

Shape FeatureRows::shape() const { return with_rows(count_, row_); }

Tensor FeatureRows::range(int64_t begin, int64_t end) const {
  check(0 <= begin && begin <= end && end <= count_, "rows [", begin, ", ", end, ") of ", count_,
        " features");
  Tensor out = host_rows(end - begin, row_);
  if (end > begin) read_(begin, end, out.raw());
  return out;
}

Tensor FeatureRows::at(const std::vector<int64_t>& rows) const {
  Tensor out = host_rows(int64_t(rows.size()), row_);
  const size_t bytes = size_t(row_.numel()) * sizeof(float);
  for (size_t i = 0; i < rows.size();) {
    size_t end = i + 1;  // neighbours are read at once
    while (end < rows.size() && rows[end] == rows[end - 1] + 1) ++end;
    check(rows[i] >= 0 && rows[end - 1] < count_, "row ", rows[end - 1], " of ", count_, " features");
    read_(rows[i], rows[end - 1] + 1, out.raw() + i * bytes);
    i = end;
  }
  return out;
}

Tensor FeatureRows::batch(const std::vector<int64_t>& rows) const { return at(rows).to(current_backend()); }
Tensor FeatureRows::batch(int64_t begin, int64_t end) const {
  return range(begin, end).to(current_backend());
}

FeatureRows FeatureRows::selected(std::vector<int64_t> rows) const {
  const int64_t n = int64_t(rows.size());
  const FeatureRows from = *this;
  return {n, row_, [from, rows = std::move(rows)](int64_t begin, int64_t end, std::byte* out) {
            const Tensor part = from.at({rows.begin() + begin, rows.begin() + end});
            std::memcpy(out, part.raw(), part.bytes());
          }};
}

FeatureRows FeatureRows::joined(const FeatureRows& more) const {
  check(row_ == more.row_, "features of shape ", row_, " and others of shape ", more.row_, " are no one set");
  const FeatureRows first = *this;
  const size_t bytes = size_t(row_.numel()) * sizeof(float);
  return {count_ + more.count_, row_, [first, more, bytes](int64_t begin, int64_t end, std::byte* out) {
            const int64_t n = first.count_, border = std::clamp(n, begin, end);
            if (begin < border) first.read_(begin, border, out);
            if (border < end) more.read_(border - n, end - n, out + size_t(border - begin) * bytes);
          }};
}

void check_rows(const FeatureRows& rows, FeatureDomain domain, const std::string& file) {
  const size_t d = size_t(rows.row().numel());
  const int64_t block = std::max<int64_t>(1, (int64_t(1) << 20) / std::max<int64_t>(int64_t(d), 1));
  for (int64_t begin = 0; begin < rows.count(); begin += block) {
    const int64_t end = std::min(rows.count(), begin + block);
    const Tensor some = rows.range(begin, end);
    for (int64_t r = begin; r < end; ++r)
      check_feature({some.data<float>() + size_t(r - begin) * d, d}, domain,
                    [&] { return file + ": row " + std::to_string(r); });
  }
}

Tensor collect_rows(int64_t n, int64_t block, const std::function<Tensor(int64_t begin, int64_t end)>& f) {
  check(n > 0, "rows of nothing are collected");
  Tensor out;
  for (int64_t begin = 0; begin < n; begin += block) {
    const int64_t end = std::min(n, begin + block);
    const Tensor part = f(begin, end).on_host();
    if (begin == 0) out = host_rows(n, row_of(part.shape()));
    check(part.shape() == with_rows(end - begin, row_of(out.shape())), "rows of shape ", part.shape(),
          " for ", end - begin, " of ", out.shape());
    std::memcpy(out.slice_batch(begin, end).raw(), part.raw(), part.bytes());
  }
  return out;
}

FeatureMoments moments_of(const FeatureRows& features, const std::vector<int64_t>& rows) {
  constexpr size_t kBlock = 64;
  check(!rows.empty(), "the statistics of no features");
  const int64_t channels = features.row()[0], inner = features.row().numel() / channels;
  std::vector<double> sum(size_t(channels), 0.0), squares(size_t(channels), 0.0);
  for (size_t begin = 0; begin < rows.size(); begin += kBlock) {
    const size_t end = std::min(rows.size(), begin + kBlock);
    const Tensor block = features.at({rows.begin() + long(begin), rows.begin() + long(end)});
    const float* p = block.data<float>();
    for (size_t r = begin; r < end; ++r)
      for (size_t c = 0; c < sum.size(); ++c)
        for (int64_t i = 0; i < inner; ++i) {
          const double v = double(*p++);
          sum[c] += v;
          squares[c] += v * v;
        }
  }
  const double count = double(rows.size()) * double(inner);
  std::vector<float> mean, deviation;
  for (size_t c = 0; c < sum.size(); ++c) {
    const double m = sum[c] / count;
    mean.push_back(float(m));
    deviation.push_back(float(std::sqrt(std::max(0.0, squares[c] / count - m * m))));
  }
  return {Tensor::from(mean, {channels}), Tensor::from(deviation, {channels})};
}

// Written once from the start, then read at any place. It has no name, so that it goes with the program.
class FeatureSpool::File {
 public:
  explicit File(const std::string& folder) {
    std::string name = (std::filesystem::path(folder) / "advface-features-XXXXXX").string();
    fd_ = ::mkstemp(name.data());
    check(fd_ >= 0, folder, ": no temporary file for features can be made there: ", std::strerror(errno),
          "; set TMPDIR or use --cache");
    where_ = folder;
    ::unlink(name.c_str());
  }
  ~File() { ::close(fd_); }
  File(const File&) = delete;

  void write(const void* data, size_t bytes) {
    const char* at = static_cast<const char*>(data);
    while (bytes > 0) {
      const ssize_t n = ::write(fd_, at, bytes);
      if (n < 0 && errno == EINTR) continue;
      check(n > 0, where_, ": the temporary file of features cannot be written: ", std::strerror(errno));
      at += n;
      bytes -= size_t(n);
    }
  }
  void read(uint64_t offset, std::byte* out, size_t bytes) const {
    while (bytes > 0) {
      const ssize_t n = ::pread(fd_, out, bytes, off_t(offset));
      if (n < 0 && errno == EINTR) continue;
      check(n > 0, where_, ": the temporary file of features cannot be read: ",
            n == 0 ? "it is cut short" : std::strerror(errno));
      out += n;
      offset += uint64_t(n);
      bytes -= size_t(n);
    }
  }

 private:
  int fd_ = -1;
  std::string where_;
};

FeatureSpool::FeatureSpool(const Shape& row, int64_t memory_bytes, std::string folder)
    : row_(row), memory_bytes_(memory_bytes), folder_(std::move(folder)) {
  if (folder_.empty()) folder_ = std::filesystem::temp_directory_path().string();
}
FeatureSpool::~FeatureSpool() = default;

void FeatureSpool::spill() {
  if (!file_) file_ = std::make_shared<File>(folder_);
  file_->write(values_.data(), values_.size() * sizeof(float));
  values_.clear();
}

void FeatureSpool::append(const Tensor& rows) {
  check(rows.shape() == with_rows(rows.dim(0), row_), "features of shape ", rows.shape(), ", not rows of ",
        row_);
  const Tensor host = rows.on_host();
  const float* p = host.data<float>();
  values_.insert(values_.end(), p, p + rows.numel());
  count_ += rows.dim(0);
  if (file_ || int64_t(values_.size() * sizeof(float)) > memory_bytes_) {
    spill();
    values_.shrink_to_fit();
  }
}

FeatureRows FeatureSpool::finish() {
  if (!file_) {
    const BackendScope host(host_backend());
    return Tensor::from(std::exchange(values_, {}), with_rows(count_, row_));
  }
  const uint64_t bytes = uint64_t(row_.numel()) * sizeof(float);
  return {count_, row_, [file = file_, bytes](int64_t begin, int64_t end, std::byte* out) {
            file->read(uint64_t(begin) * bytes, out, size_t(uint64_t(end - begin) * bytes));
          }};
}

}  // namespace advf
