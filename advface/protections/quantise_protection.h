// The resident `quantise`: every value is stored with a few bits, so that what is finer is gone. The scale is
// the largest magnitude s of the record, of a map that of each channel of the record. L = 2^bits values are
// left: where nothing is negative k s/(L - 1), k = 0 ... L - 1, so that zero stays zero; elsewhere
// (k + 1/2) s/(L/2), k = -L/2 ... L/2 - 1, of which one bit keeps the sign alone. On the sphere the result is
// then brought to norm 1.
#pragma once
#include <memory>
#include <string>

#include "advface/protections/protection.h"

namespace advf {

struct QuantiseSpec : ProtectionSpec {
  int64_t bits = 4;  // a value, 1 to 8

  std::unique_ptr<ProtectionSpec> clone() const override { return std::make_unique<QuantiseSpec>(*this); }
  Settings settings() override {
    return {whole_setting("bits", bits, {1, 8}, "bits of a value that are kept, 1 to 8")};
  }
  void check_valid() const override;
  std::string summary() const override { return "bits " + std::to_string(bits); }
  std::unique_ptr<Protection> make(const ProtectionInput& input) const override;
};

}  // namespace advf
