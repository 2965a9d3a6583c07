#include "advface/networks/train_generator.h"

#include <algorithm>
#include <cmath>

#include "advface/networks/validation.h"
#include "advface/protections/random_noise.h"
#include "autograd/tape.h"
#include "tensor/hash.h"
#include "tensor/ops.h"

namespace advf {
namespace {

constexpr int64_t kBatch = 64;  // of validation

std::string describe(const Generator& generator, const AscentNetworks& shadows, const DecoderData& data) {
  std::string text = data.features.shape().str() + " " + data.features.sample_hash() + " " +
                     hex(fnv1a(std::as_bytes(std::span(data.validation)))) + ", " +
                     generator.info().settings.summary();
  for (const Decoder* shadow : shadows.shadows) text += ", shadow " + weights_hash(*shadow);
  return text;
}

}  // namespace

GeneratorTrainer::GeneratorTrainer(Generator& generator, const AscentNetworks& shadows,
                                   const DecoderData& data, const TrainSettings& settings)
    : Trainer({{"generator", &generator}}, data.train, settings, {}, describe(generator, shadows, data)),
      generator_(generator),
      data_(data),
      shadows_(shadows),
      objective_(shadows_, generator.info().settings),
      seed_(settings.seed) {
  shadows_.check_fit(generator.info().settings);
  for (const Decoder* shadow : shadows_.shadows) {
    const DecoderInfo& info = shadow->info();
    generator.check_fits(info.spec.feature, info.recogniser, info.cut, "the shadow");
    generator.check_domain(info.domain, "the shadow");
  }
  check(!data.validation.empty(), "there are no validation images; use more people");
  for (const Decoder* shadow : shadows_.shadows) shadow->check_sees();
  const Decoder::Statistics& statistics = shadows_.shadows[0]->statistics();
  generator.net().set_input(statistics.feature_mean, statistics.feature_std);
  unit_ = std::abs(random_objective());  // of a distance that is to shrink it is less than zero
  check(unit_ > 0, "random noise of epsilon ", generator.info().settings.epsilon,
        " does not change the shadow's images; there is nothing to learn");
}

// The mean over the first training rows, at where the other methods start.
double GeneratorTrainer::random_objective() const {
  const auto rows = part_of(data_.train, 0, kBatch);
  const Tensor z = data_.features.batch(rows);
  const NoiseSpace space = generator_.space();
  const Tensor u = project(space, z, random_start(space, z.shape(), rows, seed_));
  return mean_all(objective_at(z, rows, in_feature_units(space, u))).item();
}

Tensor GeneratorTrainer::objective_at(const Tensor& z, const std::vector<int64_t>& rows,
                                      const Tensor& d) const {
  std::vector<ObjectiveFunction::Target> targets;
  {
    const NoTapeScope fixed;
    const bool original = generator_.info().settings.objective == Objective::original;
    targets = objective_.targets(z, original ? data_.face(rows) : Tensor());
  }
  return objective_.loss(targets, d);
}

Tensor GeneratorTrainer::loss(const std::vector<int64_t>& rows) {
  const Tensor z = data_.features.batch(rows);
  const Tensor d = in_feature_units(generator_.space(), generator_.forward(z));
  return affine(mean_all(objective_at(z, rows, d)), -1 / unit_, 0);
}

std::pair<double, double> GeneratorTrainer::validate() {
  const FeatureDomain domain = generator_.info().domain;
  const auto sums = [&](const std::vector<int64_t>& rows, int64_t begin) -> std::vector<double> {
    const Tensor z = data_.features.batch(rows);
    const Tensor d = in_feature_units(generator_.space(), generator_.forward(z));
    const Tensor moved = into_domain(domain, add(z, d));
    const Tensor chance = equal_norm_noise(z, moved, domain == FeatureDomain::sphere, seed_, begin);
    return {sum_all(objective_at(z, rows, d)).item(),
            sum_all(objective_at(z, rows, sub(into_domain(domain, chance), z))).item(),
            sum_all(abs(d)).item(), sum_all(abs(z)).item()};
  };
  double ours = 0, random = 0, noise = 0, length = 0;
  for (const auto& said : of_batches<double>(data_.validation, kBatch, sums)) {
    ours += said[0];
    random += said[1];
    noise += said[2];
    length += said[3];
  }
  check(noise > 1e-6 * length, "training diverged: the generator gives no noise any more, in epoch ",
        history().size() + 1, "; use a smaller --lr");
  return {-ours / double(data_.validation.size()) / unit_, ours / std::max(std::abs(random), 1e-30)};
}

}  // namespace advf
