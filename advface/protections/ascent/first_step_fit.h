// advface-train fit advface: the shadow of the objective inversion, from the recogniser and the mean face of
// the training people.
#pragma once
#include "advface/core/fit.h"

namespace advf {

class FirstStepFit : public Fit {
 public:
  Settings settings() override;
  void check_valid() const override;
  // Throws Error for features that are no unit vectors, have too many values, or are protected.
  Metadata fit(const FitData& data, const std::string& path, const Context& context) const override;

 private:
  int64_t image_size_ = 64;
};

}  // namespace advf
