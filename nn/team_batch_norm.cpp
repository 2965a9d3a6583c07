#include "nn/team_batch_norm.h"

#include "autograd/tape.h"
#include "tensor/op.h"

namespace advf {
namespace {

int64_t per_channel(const Tensor& x) { return x.numel() / x.dim(1); }

// With xhat = (x - mean) r, r = 1/sqrt(var + eps), and N values per channel in all shares:
//   dx = gamma r (g - sum g / N - xhat sum(g xhat) / N),  both sums over all shares.
// batch_norm_train_grad makes of this share, with its m values, gamma r (g - b/m - xhat a/m), where a and b
// are its own sums; what is missing is another affine map of x for each channel, which batch_norm_eval is.
Grads team_vjp(const VjpArgs& v) {
  Team* team = current_team();
  check(team, "a batch norm of a team runs backward where there is none");
  const Tensor &x = v.in(0), &gamma = v.in(1), &mean = v.out(1), &var = v.out(2);
  if (!v.gout(0).defined()) return {};
  const double eps = v.attr<ScalarAttrs>().a, total = v.attr<ScalarAttrs>().b;
  const double own = double(per_channel(x));
  Grads grads = apply(op_batch_norm_train_grad, ScalarAttrs{eps, 0}, {x, gamma, mean, var, v.gout(0)});
  std::vector<Tensor> sums{grads[1], grads[2]};
  team->sum(sums);
  const auto missing = [&](size_t i) {
    return sub(affine(grads[1 + i], 1 / own, 0), affine(sums[i], 1 / total, 0));
  };
  const Tensor scale = mul(gamma, power(affine(var, 1, eps), -0.5));
  grads[0] =
      add(grads[0], batch_norm_eval(x, mul(scale, missing(0)), mul(scale, missing(1)), mean, var, eps));
  return grads;
}

// Run here and not by apply(): what the others have to say is no kernel's.
const OpDef op_team_batch_norm = {
    .name = "team_batch_norm",
    .vjp = team_vjp,
    .uses = {.in = 0b011, .out = 0b110},
};

}  // namespace

TeamStatistics of_team(Team& team, const Tensor& mean, const Tensor& var, int64_t count) {
  const NoTapeScope off_the_tape;
  TeamStatistics all;
  all.count = int64_t(team.sum(double(count)));
  const double share = double(count) / double(all.count);
  std::vector<Tensor> sum{affine(mean, share, 0)};
  team.sum(sum);
  all.mean = sum[0];
  const Tensor off = sub(mean, all.mean);
  sum = {affine(add(var, mul(off, off)), share, 0)};
  team.sum(sum);
  all.var = sum[0];
  return all;
}

TeamBatchNormOut team_batch_norm(Team& team, const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                 double eps) {
  TeamBatchNormOut out;
  Recorder* recorder = set_recorder(nullptr);
  try {
    const BatchNormOut own = batch_norm_train(x, gamma, beta, eps);
    out.statistics = of_team(team, own.mean, own.var, per_channel(x));
    out.y = batch_norm_eval(x, gamma, beta, out.statistics.mean, out.statistics.var, eps);
  } catch (...) {
    set_recorder(recorder);
    throw;
  }
  set_recorder(recorder);
  if (recorder)
    recorder->record(op_team_batch_norm, ScalarAttrs{eps, double(out.statistics.count)},
                     std::vector<Tensor>{x, gamma, beta},
                     std::vector<Tensor>{out.y, out.statistics.mean, out.statistics.var});
  return out;
}

}  // namespace advf
