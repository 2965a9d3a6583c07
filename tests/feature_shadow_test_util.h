// Toy networks of features, for tests of noise against them.
#pragma once
#include <memory>

#include "advface/networks/ascent_shadow.h"
#include "advface/networks/attribute_probe.h"
#include "advface/networks/decoder.h"
#include "advface/networks/feature_shadow.h"
#include "advface/protections/ascent/ascent_settings.h"
#include "method_test_util.h"

namespace advf::test {

// Weights that are not those of a fresh network, whose last layer may be zero.
inline void fill_with_noise(Module& network) {
  uint64_t stream = 70;
  for (const Named& n : network.state())
    *n.tensor = n.name.ends_with("deviation")
                    ? affine(abs(randn(n.tensor->shape(), ++stream, DType::f32)), 0.1, 0.2)
                    : affine(randn(n.tensor->shape(), ++stream, DType::f32), 0.3, 0);
}

// A network of features for each objective that is about one.
inline std::unique_ptr<FeatureShadow> feature_shadow(Objective objective, const Recogniser& r,
                                                     const Decoder& like, uint64_t seed = 1) {
  FeatureNetSpec spec = FeatureNetSpec::usual(like.feature());
  spec.width = 8;
  spec.blocks = 1;
  const Provenance& from = like.info();
  if (objective == Objective::inversion) {
    const int64_t d = like.feature().numel();
    FirstStepInfo info{from, like.feature(), 16};
    const Tensor factor = affine(randn({d, d}, seed, DType::f32), 0.3, 0);
    return std::make_unique<AscentShadow>(std::make_unique<FirstStep>(info, factor));
  }
  if (objective == Objective::attribute) {
    ProbeInfo info{from, spec, {"Beard", "Smiling"}};
    auto probe = std::make_unique<AttributeProbe>(info, seed);
    fill_with_noise(*probe);
    return std::make_unique<AttributeShadow>(std::move(probe));
  }
  auto reader = std::make_unique<Reader>(ReaderInfo{from, spec, ReaderRole::linkage}, seed);
  fill_with_noise(*reader);
  return std::make_unique<LinkageShadow>(std::move(reader), &r);
}

}  // namespace advf::test
