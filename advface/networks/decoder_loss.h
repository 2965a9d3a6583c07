// What a decoder is trained to minimise: a sum of terms with weights, a row of the registry each. The pixels
// are always among them. All terms take the decoder's images and the faces; some look at more.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "advface/core/feature_rows.h"
#include "advface/core/recogniser.h"
#include "advface/core/setting.h"

namespace advf {

// A term, its weight included, or the sum of several.
class DecoderLoss {
 public:
  virtual ~DecoderLoss() = default;
  // A scalar on the tape. images, faces: (n,3,S,S) in [0,1]; rows: which rows of the set they are.
  virtual Tensor loss(const Tensor& images, const Tensor& faces, const std::vector<int64_t>& rows) const = 0;
};

// What a term may look at. Each is there as long as the loss.
struct DecoderLossInput {
  const Recogniser* recogniser = nullptr;
  std::string cut;
  FeatureRows
      raw;  // of the set, as the recogniser makes them; without rows where only protected ones are there
};

class DecoderTermSpec {
 public:
  virtual ~DecoderTermSpec() = default;
  virtual Settings settings() = 0;       // bound to this
  virtual void check_valid() const = 0;  // throws Error naming the setting
  // Loads the files that are named, before hours of work. Throws Error where they do not go with the
  // recogniser whose features are decoded.
  virtual void open(const Recogniser& /*deployed*/) {}
  virtual std::string summary() const = 0;  // "identity, weight 0.5"; after open()
  // Null for a term that weighs nothing. Throws Error where the input lacks what it needs.
  virtual std::unique_ptr<DecoderLoss> make(const DecoderLossInput& input) const = 0;
};

struct DecoderTermKind {
  std::string name;
  std::string help;  // a line: what it adds up
  std::unique_ptr<DecoderTermSpec> (*spec)();
};

const std::vector<DecoderTermKind>& decoder_terms();
// Throws Error that lists the known names, with the nearest, for another.
const DecoderTermKind& decoder_term_kind(const std::string& name);

class DecoderLossSpec {
 public:
  // The pixels (l1) and the terms of these names, each once, in the order of the registry; and those that
  // have a file among the given settings, as naming it asks for them. given: texts by the setting's name.
  // Throws Error naming what is not known, not valid, or belongs to none of the terms.
  DecoderLossSpec(const std::vector<std::string>& names, const std::map<std::string, std::string>& given);

  void open(const Recogniser& deployed);
  // Stands in the decoder's file: the terms with "; " between; "l1" is left out beside others where it has
  // the weight that it always has. "l1", "identity, weight 0.5", "identity, weight 0.5; structure, weight 1".
  std::string summary() const;
  std::unique_ptr<DecoderLoss> make(const DecoderLossInput& input) const;

 private:
  std::vector<std::unique_ptr<DecoderTermSpec>> terms_;  // the pixels first
};

}  // namespace advf
