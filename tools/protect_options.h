// Protecting on the command line: which shadows, how; and doing it to a whole set.
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "advface/faces.h"
#include "advface/feature_rows.h"
#include "advface/generator.h"
#include "advface/protect.h"
#include "tools/cli.h"

namespace advf::tools {

// The protection on the command line: --shadow and all that can be chosen about it. One set for every program
// that protects.
struct ProtectOptions {
  std::vector<std::string> shadows;
  std::string generator;  // for --method generator
  ProtectSettings settings;

  // required: the program does nothing else; otherwise nothing is protected without a shadow, and the other
  // options need one.
  void add_to(CLI::App& app, const std::string& group, bool required = false);
  bool asked() const { return !shadows.empty(); }
  void check_valid() const;  // a usage error names the option
};

// The networks that protect, loaded once.
class Protection {
 public:
  // Shadows of these features. Throws Error, naming both sides, where they do not fit each other, the
  // features, their cut (empty: not known) or the recogniser (null: not given). `what` names the features.
  Protection(const ProtectOptions& options, const Recogniser* recogniser, const Shape& row,
             const std::string& what, const std::string& cut = {});

  const ProtectSettings& settings() const { return settings_; }
  const DecoderInfo& info() const { return shadows_[0]->info(); }
  // As trained_on of what is trained on these features: "protected, epsilon 0.02".
  std::string description() const { return "protected, " + settings_.summary(); }
  // Fingerprints of the files that protect: "shadow" (of several, in order, with a space between) and, where
  // there is one, "generator". Reads the files.
  Metadata networks() const;
  bool needs_photographs() const { return settings_.objective == Objective::original; }
  ProtectModels models() const;
  void set_epsilon(double epsilon) { settings_.epsilon = epsilon; }
  // Throws Error, naming the network, where one was trained on any of these people.
  void check_never_saw(const std::vector<std::string>& identities) const;
  // With --bn recalibrated: the shadows' batch norm, on these features. Otherwise nothing.
  void recalibrate(int64_t rows, const std::function<Tensor(int64_t begin, int64_t end)>& read);

 private:
  ProtectSettings settings_;
  std::vector<std::string> shadow_files_;
  std::string generator_file_;
  std::vector<std::unique_ptr<Decoder>> shadows_;
  std::unique_ptr<Generator> generator_;
  const Recogniser* recogniser_;
};

// Photographs [begin, end) of a set, as (n,3,S,S) in [0,1].
using ReadPhotographs = std::function<Tensor(int64_t begin, int64_t end)>;
// These images of the source, read when asked for.
ReadPhotographs photographs_of(FaceSource& faces, std::vector<int64_t> indices,
                               const std::optional<FaceBox>& box, int size);
// All rows, with a progress line; row r is record records[r], or r where no records are given. The shadows
// are recalibrated on these features where the settings ask for that. Up to memory_bytes stay in memory.
FeatureRows protected_rows(Protection& protection, const FeatureRows& features,
                           std::span<const int64_t> records, const ReadPhotographs& photographs,
                           int64_t memory_bytes);
// The settings, for a program's --json.
nlohmann::json settings_json(const ProtectSettings& settings);

}  // namespace advf::tools
