// Where the verifiers of an audit of reconstruction come from: a recogniser, and a threshold that was chosen
// outside the test.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "advface/audit/feature_sets.h"
#include "advface/audit/judge.h"
#include "advface/core/enrolment.h"
#include "advface/core/face_set.h"

namespace advf {

// A verifier before it has seen a face.
struct VerifierSource {
  std::string name;
  const Recogniser* recogniser = nullptr;
  std::optional<double> threshold = {};  // of an earlier run; none: to be chosen
  double fmr = 1e-3;                     // the false match rate at which it is chosen
};

// The threshold of the judge of this name in the result of an earlier run; none where there is no file.
// Throws Error unless that has measured the same thing.
std::optional<double> earlier_threshold(const std::string& file, const std::string& name,
                                        const Recogniser& recogniser, double fmr);

// Type II replay is against the person's next photograph in the set, as a ring: the row of each of those
// under test, -1 where there is no other.
std::vector<int64_t> next_photographs(const TestRows& test, const RowsByPerson& people);

// The embeddings of all rows, and the threshold from pairs of people outside the test.
Verifier make_verifier(const FaceSettings& settings, const VerifierSource& source, FaceSource& faces,
                       const FeatureSet& set, const TestRows& test, const Context& context);

}  // namespace advf
