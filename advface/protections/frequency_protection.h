// The resident `frequency`: of every channel of a map the lowest spatial frequencies are taken away, which
// hold most of what an eye sees. After the idea of dropping the lowest frequencies of the photograph in DCTDP
// (Ji et al., "Privacy-preserving face recognition with learnable privacy budgets in frequency domain", ECCV
// 2022) and PartialFace (Mi et al., "Privacy-preserving face recognition using random frequency components",
// ICCV 2023); but those train the recogniser on what is left, and this is a variant without retraining, on a
// feature map of a recogniser that stays as it is. The probe goes through the same.
#pragma once
#include <memory>
#include <string>

#include "advface/protections/protection.h"

namespace advf {

struct FrequencySpec : ProtectionSpec {
  // Coefficients (u, v) of the orthonormal DCT-II with u and v below this go; 1: a channel's mean alone.
  int64_t low_frequencies = 1;

  std::unique_ptr<ProtectionSpec> clone() const override { return std::make_unique<FrequencySpec>(*this); }
  Settings settings() override;
  void check_valid() const override;
  std::string summary() const override { return "low frequencies " + std::to_string(low_frequencies); }
  bool changes_probe() const override { return true; }
  std::unique_ptr<Protection> make(const ProtectionInput& input) const override;
};

}  // namespace advf
