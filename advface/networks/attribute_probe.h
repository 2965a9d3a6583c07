// Tells labelled attributes of a feature: a small network that stands for who asks what a person is, and not
// who. Trained by train_probe.h.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "advface/networks/feature_shadow.h"
#include "advface/networks/trained_network.h"
#include "nn/nets/feature_net.h"

namespace advf {

struct ProbeInfo : Provenance {
  FeatureNetSpec spec;                  // with `out`: two numbers for each attribute
  std::vector<std::string> attributes;  // at least one
};

// forward: (N, feature...) -> (N, attributes), the log odds that the attribute is there, where both classes
// are as frequent. Positive: it says that it is.
class AttributeProbe : public TrainedNetwork {
 public:
  // Sets info.spec.out.
  AttributeProbe(ProbeInfo info, uint64_t seed);
  static std::unique_ptr<AttributeProbe> load(const std::string& path);

  Tensor forward(const Tensor& features) const override;
  // (N, 2): the numbers of attribute number `a`, there not and there, for softmax.
  Tensor classes(const Tensor& features, size_t a) const;

  const ProbeInfo& info() const { return info_; }
  const Provenance& provenance() const override { return info_; }
  const Shape& feature() const override { return info_.spec.feature; }
  FeatureNet& net() { return net_; }
  const FeatureNet& net() const { return net_; }

 private:
  Metadata description() const override;

  ProbeInfo info_;
  FeatureNet net_;
};

// Drives the probe to where it cannot tell: minus the mean square of its log odds, which is greatest, 0, on
// the border between the classes. Not across it: noise that made the probe say the other class would tell it
// as well, to whoever turns the answer round.
class AttributeShadow : public FeatureShadow {
 public:
  explicit AttributeShadow(std::unique_ptr<AttributeProbe> probe) : probe_(std::move(probe)) {}
  const TrainedNetwork& network() const override { return *probe_; }
  AttributeProbe& probe() { return *probe_; }
  Tensor deviation() const override { return probe_->net().deviation(); }
  Tensor reference(const Tensor& z) const override;  // the log odds of z, which no loss looks at
  Tensor loss(const Tensor& x, const Tensor& reference) const override;

 private:
  std::unique_ptr<AttributeProbe> probe_;
};

}  // namespace advf
