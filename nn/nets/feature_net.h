// A feature to another value of the same shape, or to a vector of so many numbers: what generators of noise
// and readers of protected features are made of. No batch norm, so that a record's result depends on the
// record alone, in training as well.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "nn/layers.h"
#include "nn/state_dict.h"

namespace advf {

struct FeatureNetSpec {
  Shape feature;   // of one record: [D] or [C,h,w]
  int width = 0;   // numbers, or channels, of a residual block: 8 to 4096
  int blocks = 2;  // 0 to 64
  int out = 0;     // numbers of the result, at most 65536; 0: it has the feature's shape

  // width: what is usual for such a feature.
  static FeatureNetSpec usual(const Shape& feature);
  void check_valid() const;      // throws Error naming what is out of range
  Metadata to_metadata() const;  // keys "net.feature", "net.width", "net.blocks", and "net.out" unless 0
  static FeatureNetSpec from_metadata(const Metadata& metadata, const std::string& source);
  bool operator==(const FeatureNetSpec&) const = default;
};

// (N, feature...) -> (N, feature...), or (N, out): y = first((x - mean) / deviation, cut at +-10), residual
// blocks, last(relu(y)), which is meant in deviations. A block is y + second(relu(first(relu(y)))). Layers
// are linear for vectors, 3x3 convolutions for maps; with `out` the last is linear, of a map on the mean over
// its places.
class FeatureNet : public Module {
 public:
  FeatureNet(const FeatureNetSpec& spec, uint64_t seed);
  Tensor forward(const Tensor& x) const override;

  // Of the features to come, per element of a vector or per channel of a map: (D) or (C). At first 0 and 1.
  void set_input(const Tensor& mean, const Tensor& deviation);
  const Tensor& deviation() const { return deviation_; }
  // y, in units of the input, whose shape it must have.
  Tensor in_input_units(const Tensor& y) const;
  // From now on the result is zero, whatever comes in, until training changes that.
  void silence();

 private:
  Tensor per_record(const Tensor& channels) const;

  FeatureNetSpec spec_;
  Tensor mean_, deviation_;
  std::unique_ptr<Module> first_, last_;
  std::vector<std::unique_ptr<Module>> blocks_;
};

}  // namespace advf
