// A protection ready to run: its networks, loaded once and checked against each other; and doing it to a
// whole set.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "advface/core/context.h"
#include "advface/core/faces.h"
#include "advface/core/feature_rows.h"
#include "advface/networks/generator.h"
#include "advface/protections/ascent/ascent.h"
#include "advface/protections/protection_id.h"

namespace advf {

struct ProtectionFiles {
  std::vector<std::string> shadows;  // several make an ensemble
  std::string generator;             // for Method::generator
};

// The networks that protect, loaded once.
class Protection {
 public:
  // Shadows of these features. Throws Error, naming both sides, where they do not fit each other, the
  // features, their cut (empty: not known) or the recogniser; WrongCall where that is needed and null. `what`
  // names the features.
  Protection(const ProtectionFiles& files, const ProtectSettings& settings, const Recogniser* recogniser,
             const Shape& row, const std::string& what, const std::string& cut = {});

  const ProtectSettings& settings() const { return settings_; }
  const DecoderInfo& info() const { return shadows_[0]->info(); }
  AppliedProtection applied() const { return advface_protection(settings_, networks_); }
  ProtectionId id() const { return {{applied()}, {}}; }  // of raw features that it has protected
  bool needs_photographs() const { return settings_.objective == Objective::original; }
  ProtectModels models() const;
  void set_epsilon(double epsilon);  // throws Error where a generator was not trained for it
  // Throws Error, naming the network, where one was trained on any of these people.
  void check_never_saw(const std::vector<std::string>& identities) const;
  // With --bn recalibrated: the shadows' batch norm, on these features. Otherwise nothing.
  void recalibrate(int64_t rows, const std::function<Tensor(int64_t begin, int64_t end)>& read);

 private:
  ProtectSettings settings_;
  // Fingerprints of the files: "shadow" (of several, in order, with a space between), and "generator" where
  // there is one.
  Metadata networks_;
  std::vector<std::unique_ptr<Decoder>> shadows_;
  std::unique_ptr<Generator> generator_;
  const Recogniser* recogniser_;
};

// Photographs [begin, end) of a set, as (n,3,S,S) in [0,1].
using ReadPhotographs = std::function<Tensor(int64_t begin, int64_t end)>;
// These images of the source, read when asked for.
ReadPhotographs photographs_of(FaceSource& faces, std::vector<int64_t> indices,
                               const std::optional<FaceBox>& box, int size);
// All rows; row r is record records[r], or r where no records are given. The shadows
// are recalibrated on these features where the settings ask for that. Up to memory_bytes stay in memory.
FeatureRows protected_rows(Protection& protection, const FeatureRows& features,
                           std::span<const int64_t> records, const ReadPhotographs& photographs,
                           int64_t memory_bytes, const Context& context);

}  // namespace advf
