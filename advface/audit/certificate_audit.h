// The certificate: what is proved of a protection (docs/theory.md), with the numbers that need photographs,
// and beside each what attackers who exist reach on them.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "advface/audit/fisher_bound.h"
#include "advface/core/face_set.h"
#include "advface/protections/protection_chain.h"

namespace advf {

struct CertificateSettings {
  FaceSettings faces;
  ProtectionSpecs protection;
  std::vector<std::string> attackers;  // [NAME=]FILE, or [NAME=]KIND[:SETTING=VALUE,...] of those without one
  std::string part = "test";           // of the split; validation
  int64_t limit = 32;                  // photographs that are differentiated and reconstructed
  int64_t prior = 1024;                // photographs of other people, at most, of which the prior is made
  int64_t image_size = 64;             // side of the images that bounds are of, where no attacker says it
  int64_t directions = 16;             // for each image, as TraceSettings has it
  double pixel_noise = 0.02;
  uint64_t split_seed = 1;  // of the split, where no attacker says it
  uint64_t seed = 1;
};

// Somebody is to be found among `people`, of whom the attacker has the very features.
struct Naming {
  int64_t people = 0;
  std::optional<double> at_most;  // of any attacker, where that is proved
  // Of who says whoever's feature is nearest to what is stored: by record, whether it is the right one (where
  // several are as near, the probability).
  std::vector<double> nearest;
};

struct Reached {
  std::string attacker;
  std::vector<double> mse;  // by image
};

struct Invertibility {
  std::vector<std::string> files;  // of the photographs
  std::vector<int64_t> people;     // on them
  int64_t image_size = 0, values = 0, prior_photographs = 0;
  std::vector<double> dfil;   // by image
  double prior_variance = 0;  // mean squared error of the mean face, by the prior
  Estimate information;       // as prior_bound() takes it
  double unbiased = 0, any_prior = 0, gaussian_prior = 0;  // least mean squared errors
  std::vector<Reached> reached;                            // first the mean face
};

struct Certificate {
  ProtectionId protection;
  Guarantee proved;
  std::string cut;
  Naming naming;
  std::optional<Invertibility> invertibility;
  std::string no_invertibility;  // why there is none
};

// Throws Error, before a picture is read where that can be told, for what does not fit together.
Certificate certify(const CertificateSettings& settings, const Context& context);

// How often the nearest of `candidates` (N, ...) to row i of `stored` is candidate i; both in host memory.
std::vector<double> nearest_is_own(const Tensor& stored, const Tensor& candidates);

}  // namespace advf
