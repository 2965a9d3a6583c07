// Reads protected features: a network that leads them back to what the recogniser makes of a face. In the
// operator's hands it is an adapter (offline mode: the recognition side learns to read what is stored), in an
// attacker's a linkage network, which finds the person behind a stolen record. Both are one network, trained
// in one way (train_reader.h); their files say whose they are.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "advface/core/feature_rows.h"
#include "advface/core/recogniser.h"
#include "advface/networks/trained_network.h"
#include "nn/nets/feature_net.h"

namespace advf {

enum class ReaderRole { adapter, linkage };

struct ReaderInfo : Provenance {
  FeatureNetSpec spec;  // with `out`: it maps straight to the embedding of so many numbers
  ReaderRole role = ReaderRole::adapter;
};

// forward: protected features (N, feature...) -> P(z + f(z)), of the same shape and domain, which H, the rest
// of the recogniser, then takes; before training f is zero, so that the reader changes nothing. Where a
// protection has moved the features to a space of their own, H cannot take them: the network then emits
// embeddings, (N, spec.out) unit vectors.
class Reader : public TrainedNetwork {
 public:
  Reader(const ReaderInfo& info, uint64_t seed);
  // Throws Error naming the file where it holds no reader of this role.
  static std::unique_ptr<Reader> load(const std::string& path, ReaderRole role);
  // A reader of either role: who attacks takes what there is.
  static std::unique_ptr<Reader> load(const std::string& path);

  Tensor forward(const Tensor& features) const override;
  // What the result of forward() is to the recogniser: (N, dimension) unit vectors.
  Tensor embed(const Tensor& read, const Recogniser& recogniser) const;
  bool emits_embeddings() const { return info_.spec.out > 0; }
  // Of forward().
  FeatureDomain out_domain() const { return emits_embeddings() ? FeatureDomain::sphere : info_.domain; }

  const ReaderInfo& info() const { return info_; }
  const Provenance& provenance() const override { return info_; }
  const Shape& feature() const override { return info_.spec.feature; }
  FeatureNet& net() { return net_; }
  const FeatureNet& net() const { return net_; }

  // Throws an Error that names the difference unless it was trained on features protected alike.
  void check_trained_on(const ProtectionId& protection) const;

 private:
  Metadata description() const override;

  ReaderInfo info_;
  FeatureNet net_;
};

// (rows, dimension) in host memory: the embeddings of all rows, which are features at the recogniser's cut,
// or what the reader takes. Throws Error where the reader gives no features.
Tensor embed_rows(const Recogniser& recogniser, const FeatureRows& features, const std::string& cut,
                  const Reader* reader = nullptr);

}  // namespace advf
