// The floor of identity: what a stored record reveals of who it is, whatever else it hides, where anybody can
// run the verifier on it (no key). Lower bounds that follow from how often the verifier accepts;
// docs/theory.md has the proofs.
#pragma once
#include <cstdint>

#include "advface/audit/metrics.h"

namespace advf {

// Kullback and Leibler's divergence of two coins, in bits: p log2(p / q) + (1 - p) log2((1 - p) / (1 - q)).
// Infinite where q says never and p sometimes. p, q in [0, 1].
double coin_divergence(double p, double q);

// Bits that a record tells at least of which of `people` it shows, all alike before: the divergence of the
// true accept rate and of the rate of acceptance of a person drawn at random, tar / people + far (1 - 1 /
// people). 0 people: any number, however large. 0 where the verifier does no better than a coin.
double identity_bits(double tar, double far, int64_t people = 0);

// Who has a photograph of each of `people` and asks the verifier of all of them is left with a list.
struct CandidateList {
  double length = 0;    // how many are accepted, on average
  double contains = 0;  // how often the right one is among them: tar
  double named = 0;  // least probability that one drawn from the list is the right one: contains^2 / length
};
CandidateList candidates(double tar, double far, int64_t people);

// Limits of a rate of which `hits` of `trials` independent trials were seen: it lies below `low` (or above
// `high`) with probability `error` at most (Clopper and Pearson 1934).
struct RateLimits {
  double low = 0, high = 1;
};
RateLimits rate_limits(int64_t hits, int64_t trials, double error);

// An operating point of a verification test and what follows. The limits hold together in 95 % of such tests
// if pairs are independent, as far as people do not come in many of them. The threshold may have been chosen
// on the same impostors by their rank, as tar_at_far() does.
struct IdentityFloor {
  double tar = 0, far = 0;  // as measured
  double tar_at_least = 0, far_at_most = 1;
  double bits = 0;  // of the measured rates, of any number of people; infinite where no impostor passed
  double bits_at_least = 0;  // of the limits
};
IdentityFloor identity_floor(const OperatingPoint& point);

}  // namespace advf
