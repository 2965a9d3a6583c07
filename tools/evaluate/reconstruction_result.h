// What advface-evaluate reconstruction has measured, image by image, before anything is averaged: of all
// images, or of a part of them (tools/options/part.h), which then lies in a file until it is joined with the
// others.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "advface/audit/reconstruction_audit.h"
#include "advface/core/feature_file.h"

namespace advf::tools {

// What is told of the images that rows are about, in their order.
struct TestedImages {
  TestedImages() = default;
  explicit TestedImages(const TestImages& images);

  std::vector<std::string> files, identities;
  std::vector<int64_t> people;
  std::vector<int64_t> with_another_photo;  // which of them, by their person
};

struct ReconstructionResult {
  nlohmann::json told;       // what the result says beside rows and attackers
  nlohmann::json attackers;  // of each what it is called, its kind and its settings
  std::vector<std::string> verifiers;
  uint64_t seed = 1;
  // Rows of features of kind "identity" are about those whose person has another photograph.
  TestedImages all, known;
  std::vector<ReconstructionRow> rows;

  const TestedImages& about(const ReconstructionRow& row) const {
    return row.kind == "identity" ? known : all;
  }
};

// Of the images of this part.
void write_part(const std::string& path, const ReconstructionResult& result, const FeaturePart& part);
// The result of all parts of OUT, as a run of the whole has it. Throws Error naming the file where a part is
// missing, is broken, or is of another run.
ReconstructionResult read_parts(const std::string& out);
}  // namespace advf::tools
