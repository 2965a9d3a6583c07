// How attributes are taken out of vectors: the affine map r(x) = x - write read^T (x - mean), found in closed
// form from moments of features and attributes. Two ways to find it:
// - leace (Belrose, Schneider-Joseph, Ravfogel, Cotterell, Raff, Biderman, "LEACE: Perfect linear concept
//   erasure in closed form", NeurIPS 2023, arXiv 2306.03819, theorem 4.3): r(x) = x - W^+ P W (x - mean) with
//   W = Sigma^(-1/2) and P the orthogonal projection on the columns of W S, where Sigma is the covariance of
//   the features and S that of features and attributes. It is computed as x - S (S^T Sigma^-1 S)^+ S^T
//   Sigma^-1 (x - mean), which is the same and needs no root. After it the covariance of features and
//   attributes is zero, so that no linear classifier does better than always saying the same, and of all
//   affine maps with that it moves features least in the mean square.
// - nullspace (Ravfogel, Elazar, Gonen, Twiton, Goldberg, "Null it out", ACL 2020, arXiv 2004.07667): round
//   by round the direction by which a linear classifier tells the attribute (here least squares) is projected
//   away, orthogonally. It promises nothing after a given number of rounds.
// Sigma is shrunk towards a multiple of the identity (oracle approximating shrinkage: Chen, Wiesel, Eldar,
// Hero 2010, arXiv 0907.4698, eq. 23), so that fewer rows than dimensions do as well. What leace makes zero
// is zero for any shrinkage; only the least change is then one by the shrunk covariance.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "tensor/linear_algebra.h"

namespace advf {

struct ErasureMoments {
  int64_t rows = 0;
  std::vector<double> mean;  // (D)
  Matrix covariance;         // (D, D)
  // (attributes, D): covariance of each attribute, brought to variance 1, with the features.
  Matrix cross;
};

struct ErasureMap {
  std::vector<double> mean;  // (D)
  Matrix read, write;        // (directions, D) each; read write^T is the identity
};

// The share of the identity that goes into a covariance of D dimensions found on so many rows, from 0 to 1.
double covariance_shrinkage(const Matrix& covariance, int64_t rows);
// (1 - share) covariance + share x (mean variance) x identity.
Matrix shrunk(Matrix covariance, double share);

// One direction for each attribute that is not a sum of the others. Throws Error where the features do not
// vary, or no attribute goes with them.
ErasureMap leace(const ErasureMoments& moments);
// One direction a round for each such attribute. Throws Error as leace() does, and where the rounds would
// leave nothing. `between_rounds` may throw.
ErasureMap nullspace(const ErasureMoments& moments, int64_t rounds,
                     const std::function<void()>& between_rounds = {});

}  // namespace advf
