// What is fitted in closed form, protections and attackers alike: advface-train fit NAME.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "advface/core/context.h"
#include "advface/core/dataset.h"
#include "advface/core/feature_rows.h"
#include "advface/core/provenance.h"
#include "advface/core/setting.h"

namespace advf {

class Recogniser;

// A set split by person.
struct FitData {
  FeatureRows features;
  std::vector<int64_t> person;             // of each row, as person_key()
  std::vector<int64_t> train, validation;  // rows; no person in both
  // (n,3,size,size) in [0,1]: the photographs of these rows.
  std::function<Tensor(const std::vector<int64_t>& rows, int size)> faces;
  std::function<Labels()> labels;          // of every row, with its attributes
  Provenance provenance;                   // for the file that is written
  const Recogniser* recogniser = nullptr;  // whose features they are; null where it is not at hand
};

// Calls f(row, x) for these rows of vectors, in order, in blocks; ends where the context says so.
void each_vector(const FitData& data, const std::vector<int64_t>& rows, const Context& context,
                 const std::function<void(int64_t row, const std::vector<double>& x)>& f);

class Fit {
 public:
  virtual ~Fit() = default;
  virtual Settings settings() = 0;       // bound to this
  virtual void check_valid() const = 0;  // throws Error naming the setting
  // Throws Error for labels that lack what it needs, of everybody, before features are computed.
  virtual void check_labels(const Labels&) const {}
  // Fits on the training rows and writes the file. Returns what was measured, on the validation rows unless
  // its name says otherwise: by name, numbers as JSON has them. Throws Error for data that do not do.
  virtual Metadata fit(const FitData& data, const std::string& path, const Context& context) const = 0;
};

}  // namespace advf
