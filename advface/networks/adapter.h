// Offline mode: the recognition side learns to read protected features. A residual map before H, the rest of
// the recogniser, moves a protected feature to where H sees what it saw in the raw one; the recogniser itself
// stays as it is. At the embedding H is the identity and the adapter stands before the matcher.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "advface/networks/trained_network.h"
#include "nn/nets/feature_net.h"

namespace advf {

struct AdapterInfo : Provenance {
  FeatureNetSpec spec;
};

// forward: protected features (N, feature...) -> P(z + f(z)), of the same shape and domain. Before training f
// is zero, so the adapter changes nothing.
class Adapter : public TrainedNetwork {
 public:
  Adapter(const AdapterInfo& info, uint64_t seed);
  static std::unique_ptr<Adapter> load(const std::string& path);

  Tensor forward(const Tensor& features) const override;
  const AdapterInfo& info() const { return info_; }
  const Provenance& provenance() const override { return info_; }
  const Shape& feature() const override { return info_.spec.feature; }
  FeatureNet& net() { return net_; }

  // Throws an Error that names the difference unless it was trained on features protected alike.
  void check_trained_on(const ProtectionId& protection) const;

 private:
  Metadata description() const override;

  AdapterInfo info_;
  FeatureNet net_;
};

}  // namespace advf
