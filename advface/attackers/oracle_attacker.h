// The resident `oracle`: has not the feature but may ask the matching side, which compares an image that it
// is shown with what is stored and answers with the score, or with accept or refuse alone. It is asked about
// what a decoder makes of features of its own space: first those of public people, then steps of an evolution
// strategy from the best (an isotropic strategy with cumulative step-size adaptation: Hansen and Ostermeier,
// 2001). What it costs is counted in queries. As Galbally et al. (2010) climb hills on scores of matchers.
#pragma once
#include <memory>
#include <string>

#include "advface/attackers/attacker.h"

namespace advf {

enum class OracleAnswers { scores, accepts };
template <>
const std::vector<Choice<OracleAnswers>>& choices();

struct OracleSpec : AttackerSpec {
  int64_t queries = 500;  // for each feature
  OracleAnswers answers = OracleAnswers::scores;
  std::string decoder;  // file of the decoder that makes the images
  uint64_t seed = 1;

  std::unique_ptr<AttackerSpec> clone() const override { return std::make_unique<OracleSpec>(*this); }
  Settings settings() override;
  void check_valid() const override;
  std::unique_ptr<Attacker> make(const AttackerInput& input) const override;
};

}  // namespace advf
