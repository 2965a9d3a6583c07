// How well an attacker turns features back into faces: pixels (SSIM, PSNR, MSE), identity (cosine of the
// reconstruction's embedding to the original's) and replay (the reconstruction accepted as the enrolled
// person).
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "advface/audit/metrics.h"
#include "advface/core/feature_domain.h"
#include "advface/core/feature_rows.h"
#include "advface/core/recogniser.h"

namespace advf {

// A recogniser that judges reconstructions: the deployed one, or one that the defence never saw.
struct Judge {
  std::string name;
  const Recogniser* recogniser = nullptr;
  double threshold = 0;  // a score at or above it is accepted; chosen outside the test images
  Tensor same;           // (n, D) embeddings of the n originals
  // Of another photograph of the same person, where there is one: rows `other_of` of the originals, (m, D).
  Tensor other;
  std::vector<int64_t> other_of;

  Judge only(const std::vector<int64_t>& originals) const;  // of these, in this order
};

// Per image. replay_same/_other hold 0 or 1; `other` only for the images of Judge::other_of, in that order.
struct Identity {
  std::vector<double> cosine, replay_same, replay_other;
};
struct ReconstructionScores {
  std::vector<double> ssim, psnr, mse;
  std::vector<Identity> judges;  // in the order of the judges
};

// images, originals: (n,3,S,S) in [0,1], on any backend: a batch at a time goes to the current one.
ReconstructionScores score_reconstructions(const Tensor& images, const Tensor& originals,
                                           const std::vector<Judge>& judges, int64_t batch = 32);

// What identity alone reveals: for each of these rows of a set the mean feature of the person's other rows,
// brought into the features' domain. A defence without a key under which recognition still works cannot go
// below what this gives an attacker. person: of every row of the set. Throws Error for a row whose person has
// no other. Up to memory_bytes stay in memory.
FeatureRows identity_only(const FeatureRows& features, const std::vector<int64_t>& rows,
                          const std::vector<int64_t>& person, FeatureDomain domain, int64_t memory_bytes);

}  // namespace advf
