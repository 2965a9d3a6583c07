// Batch norm over the batch of a whole team (nn/team.h), of which each rank has a share.
#pragma once
#include "nn/team.h"
#include "tensor/ops.h"

namespace advf {

struct TeamStatistics {
  Tensor mean, var;   // (C), biased
  int64_t count = 0;  // values per channel
};
// Of all shares together, from those of each: Chan, Golub, LeVeque (1979), "Updating formulae and a pairwise
// algorithm for computing sample variances".
TeamStatistics of_team(Team& team, const Tensor& mean, const Tensor& var, int64_t count);

// As batch_norm_train() of all shares, of which x is this rank's. Its gradient rule asks the team as well:
// every rank runs backward through it. The gradients of gamma and beta are this rank's part of them.
struct TeamBatchNormOut {
  Tensor y;
  TeamStatistics statistics;
};
TeamBatchNormOut team_batch_norm(Team& team, const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                 double eps);

}  // namespace advf
