// The features of a set, row by row, wherever they lie: in memory, in a .npy file, or in a temporary file
// where memory would not hold them (10,000 maps of 64 x 38 x 38 take 3.7 GB). Copies share the rows.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "advface/core/feature_domain.h"
#include "tensor/tensor.h"

namespace advf {

class FeatureRows {
 public:
  FeatureRows() = default;
  FeatureRows(const Tensor& rows);  // (n, feature...); kept in host memory
  // Rows of the file, read when asked for, as f32. Throws Error for a file without rows of one or three
  // dimensions.
  static FeatureRows open(const std::string& path);

  int64_t count() const { return count_; }
  const Shape& row() const { return row_; }  // of one feature
  Shape shape() const;                       // (count, feature...)
  // Tells sets apart, wherever they lie: of the shape and of 64 rows that are spread over the set.
  std::string sample_hash() const;
  // Of the shape and of all rows, which are read for it; each(some) has those that were read, in their order.
  std::string hash(const std::function<void(const Tensor& some)>& each = {}) const;

  // (rows, feature...) in host memory, for what is stored, compared or added up.
  Tensor at(const std::vector<int64_t>& rows) const;
  Tensor range(int64_t begin, int64_t end) const;
  // The same on the current backend, for a network.
  Tensor batch(const std::vector<int64_t>& rows) const;
  Tensor batch(int64_t begin, int64_t end) const;
  // These rows, in this order.
  FeatureRows selected(std::vector<int64_t> rows) const;
  // These rows, and `more` of the same shape behind them.
  FeatureRows joined(const FeatureRows& more) const;

 private:
  friend class FeatureSpool;
  using Read = std::function<void(int64_t begin, int64_t end, std::byte* out)>;
  FeatureRows(int64_t count, const Shape& row, Read read)
      : count_(count), row_(row), read_(std::move(read)) {}

  int64_t count_ = 0;
  Shape row_;
  Read read_;  // rows [begin, end) as f32
};

// Reads all rows once and holds each to check_feature; the error names the file and the row.
void check_rows(const FeatureRows& rows, FeatureDomain domain, const std::string& file);

// Rows [0, n), n > 0, of what a network makes of a set, in host memory: f(begin, end) gives those of
// [begin, end), on any backend, `block` rows at a time.
Tensor collect_rows(int64_t n, int64_t block, const std::function<Tensor(int64_t begin, int64_t end)>& f);

// Mean and deviation of these rows, per element of a vector or per channel of a map: (D) or (C), on the
// current backend. Read in blocks.
struct FeatureMoments {
  Tensor mean, deviation;
};
FeatureMoments moments_of(const FeatureRows& features, const std::vector<int64_t>& rows);

// Rows that come one block after the other: kept in memory up to a limit, then in a file without a name in
// `folder` (empty: the system's folder for temporary files), which goes when the last FeatureRows goes.
class FeatureSpool {
 public:
  FeatureSpool(const Shape& row, int64_t memory_bytes, std::string folder = {});
  ~FeatureSpool();
  void append(const Tensor& rows);  // (n, feature...) f32, on any backend
  FeatureRows finish();

 private:
  class File;
  void spill();
  Shape row_;
  int64_t memory_bytes_, count_ = 0;
  std::string folder_;
  std::vector<float> values_;
  std::shared_ptr<File> file_;
};

}  // namespace advf
