// What is proved of what a protection stores, whoever attacks and whatever he computes; statements, proofs
// and what they do not say: docs/theory.md.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "advface/protections/privacy_mechanism.h"

namespace advf {

// Of a protection with a key: what is learned of the features by who lacks it.
enum class WithoutKey {
  nothing,         // of a record, with all others at hand
  inner_products,  // of the features of a set, and nothing else
  unproved,
};
const char* name_of(WithoutKey what);  // "nothing", "inner products", "not proved"

struct Guarantee {
  // (epsilon, delta) differential privacy of a record.
  struct Privacy {
    double epsilon = 0, delta = 0;
    PrivacyNoise noise;
    bool of_seed = false;  // it holds for who does not know the seed, and cannot make the noise again
  };
  std::optional<Privacy> privacy;
  // In radians: of a unit vector, the largest angle between what is stored and the feature as a probe, which
  // is compared with it; of a bound on recognition, between their embeddings.
  std::optional<double> largest_angle;
  std::optional<WithoutKey> without_key;

  bool says_nothing() const { return !privacy && !largest_angle && !without_key; }
  // Of this followed by `next`. One that looks at the photograph beside its feature brings back what the
  // others have hidden.
  Guarantee then(const Guarantee& next, bool next_sees_photograph) const;
};

// Of docs/formats.md, "What is proved": an object, without what nothing is proved of.
nlohmann::json to_json(const Guarantee& proved);

// The largest angle between a unit vector z and z + d scaled to norm 1, d of norm at most `radius`: arcsin of
// the radius, where z + d is a tangent of the ball. Nothing from radius 1 on, where d may turn z round.
std::optional<double> angle_of_ball(double radius);
// The angle of a chord of the unit sphere; length in [0, 2].
double angle_of_chord(double length);

// What a score, the cosine of two unit vectors, can become where one of them turns by at most `angle`: angles
// are a metric, so that the angle between the two changes by no more.
struct ScoreRange {
  double least = -1, most = 1;
};
ScoreRange score_range(double score, double angle);

}  // namespace advf
