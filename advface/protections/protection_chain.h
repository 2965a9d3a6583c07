// Protections one behind the other, ready to run: each works on what the one before it gives.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "advface/core/faces.h"
#include "advface/core/feature_file.h"
#include "advface/core/feature_rows.h"
#include "advface/protections/protection.h"

namespace advf {

class ProtectionChain {
 public:
  // Loads what the specs ask for. Throws Error, naming both sides, where two do not fit each other or the
  // features; WrongCall for none and where a recogniser is needed and not there.
  ProtectionChain(const ProtectionSpecs& specs, const ProtectionInput& input);

  ProtectionId id() const;  // of raw features that it has protected
  const FeatureSpace& in() const { return in_; }
  FeatureSpace out() const { return links_.back()->out(); }
  bool moves() const { return out().moved && !in_.moved; }  // to a space of its own
  // Whose features they are: what the input said, or else what a network of the chain knows.
  const std::string& recogniser() const { return recogniser_; }
  const std::string& cut() const { return cut_; }

  // As Protection has them, of all links.
  int photograph_size() const;
  Guarantee guarantee() const;
  bool changes_probe() const { return changes_probe_; }
  bool draws_by_record() const;  // one of them does
  bool is_shareable() const;     // all of them are
  std::vector<const Provenance*> networks() const;
  void check_never_saw(const std::vector<std::string>& identities) const;
  bool saw(int64_t person) const;  // a network of it was trained on that person, as person_key()
  void look_at(const FeatureRows& features, std::span<const int64_t> records, const Context& context);
  // The report is of the whole way; what only one link has to say (losses, a bound) is its own.
  ProtectedRows apply(const Tensor& features, std::span<const int64_t> records, const Tensor& photographs,
                      const Context& context);
  Tensor apply_probe(const Tensor& features, std::span<const int64_t> records) const;
  // Whether a link needs a key.
  bool needs_key() const { return needs_key_; }
  // What lies under the last link, for who has its key, as Protection::unlock() has it. Throws Error where
  // another link lies over the one that needs a key.
  FeatureRows unlocked(const FeatureRows& stored, std::span<const int64_t> records, int64_t memory_bytes,
                       const Context& context) const;

 private:
  ProtectedRows through(size_t links, const Tensor& features, std::span<const int64_t> records,
                        const Tensor& photographs, const Context& context);

  FeatureSpace in_;
  std::string recogniser_, cut_;
  bool changes_probe_ = false, needs_key_ = false;
  std::vector<std::unique_ptr<Protection>> links_;
};

// What a protection is made for: features of this recogniser at this cut; `what` names them.
ProtectionInput input_of(const Recogniser& recogniser, const std::string& cut, const std::string& what);

// Photographs [begin, end) of a set, as (n,3,S,S) in [0,1].
using ReadPhotographs = std::function<Tensor(int64_t begin, int64_t end)>;
// These images of the source, read when asked for.
ReadPhotographs photographs_of(FaceSource& faces, std::vector<int64_t> indices, const FaceCut& cut, int size);
// All rows; row r is record records[r], or r where no records are given. Up to memory_bytes stay in memory.
FeatureRows protected_rows(ProtectionChain& protection, const FeatureRows& features,
                           std::span<const int64_t> records, const ReadPhotographs& photographs,
                           int64_t memory_bytes, const Context& context);
// The same for rows beside those, at which the chain does not look: it protects them as it does the first.
FeatureRows protected_beside(ProtectionChain& protection, const FeatureRows& features,
                             std::span<const int64_t> records, const ReadPhotographs& photographs,
                             int64_t memory_bytes, const Context& context);

}  // namespace advf
