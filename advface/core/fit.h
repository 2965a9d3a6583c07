// What is fitted in closed form, protections and attackers alike: advface-train fit NAME.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "advface/core/context.h"
#include "advface/core/feature_rows.h"
#include "advface/core/provenance.h"
#include "advface/core/setting.h"

namespace advf {

// A set split by person.
struct FitData {
  FeatureRows features;
  std::vector<int64_t> person;             // of each row, as person_key()
  std::vector<int64_t> train, validation;  // rows; no person in both
  // (n,3,size,size) in [0,1]: the photographs of these rows.
  std::function<Tensor(const std::vector<int64_t>& rows, int size)> faces;
  Provenance provenance;  // for the file that is written
};

class Fit {
 public:
  virtual ~Fit() = default;
  virtual Settings settings() = 0;       // bound to this
  virtual void check_valid() const = 0;  // throws Error naming the setting
  // Fits on the training rows and writes the file. Returns what was measured on the validation rows: by name,
  // numbers as JSON has them. Throws Error for data that do not do.
  virtual Metadata fit(const FitData& data, const std::string& path, const Context& context) const = 0;
};

}  // namespace advf
