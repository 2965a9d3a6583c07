// Training a generator of noise: ascent of the objective of objective.h through the frozen shadows, over the
// weights of one network for all records instead of over the noise of each. The loss is minus the objective,
// in units of what random noise reaches, since objectives differ by orders of magnitude. Its score says how
// many times the objective at its noise is that at random noise of equal norm.
#pragma once
#include "advface/networks/generator.h"
#include "advface/networks/train_decoder.h"
#include "advface/protections/ascent/objective.h"

namespace advf {

class GeneratorTrainer : public Trainer {
 public:
  // data.face gives the photographs, for Objective::original only. The generator takes the first shadow's
  // statistics. With BatchNormMode::recalibrated the caller has called recalibrate() on the shadows before.
  // The generator, the models' networks and the data must outlive the trainer.
  GeneratorTrainer(Generator& generator, const AscentNetworks& shadows, const DecoderData& data,
                   const TrainSettings& settings);

 private:
  Tensor loss(const std::vector<int64_t>& rows) override;
  std::pair<double, double> validate() override;
  double random_objective() const;
  Tensor objective_at(const Tensor& z, const std::vector<int64_t>& rows, const Tensor& d) const;

  Generator& generator_;
  const DecoderData& data_;
  AscentNetworks shadows_;
  ObjectiveFunction objective_;
  uint64_t seed_;
  double unit_ = 1;
};

}  // namespace advf
