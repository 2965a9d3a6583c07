#include "nn/team_batch_norm.h"

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
  const std::vector<float> a = grads[1].to_vector<float>(), b = grads[2].to_vector<float>();
  const size_t channels = a.size();
  std::vector<float> sums = a;
  sums.insert(sums.end(), b.begin(), b.end());
  team->sum(sums);
  std::vector<float> weight(channels), bias(channels);
  for (size_t c = 0; c < channels; ++c) {
    weight[c] = float(double(a[c]) / own - double(sums[c]) / total);
    bias[c] = float(double(b[c]) / own - double(sums[channels + c]) / total);
  }
  const Shape shape{int64_t(channels)};
  const Tensor scale = mul(gamma, power(affine(var, 1, eps), -0.5));
  grads[0] = add(grads[0], batch_norm_eval(x, mul(scale, Tensor::from(weight, shape)),
                                           mul(scale, Tensor::from(bias, shape)), mean, var, eps));
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
  const std::vector<float> m = mean.to_vector<float>(), v = var.to_vector<float>();
  const size_t channels = m.size();
  TeamStatistics all;
  all.count = int64_t(team.sum(double(count)));
  const double share = double(count) / double(all.count);
  std::vector<float> sums(channels);
  for (size_t c = 0; c < channels; ++c) sums[c] = float(share * double(m[c]));
  team.sum(sums);
  std::vector<float> spread(channels);
  for (size_t c = 0; c < channels; ++c) {
    const double off = double(m[c]) - double(sums[c]);
    spread[c] = float(share * (double(v[c]) + off * off));
  }
  team.sum(spread);
  const Shape shape{int64_t(channels)};
  all.mean = Tensor::from(sums, shape);
  all.var = Tensor::from(spread, shape);
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
