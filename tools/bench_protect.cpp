#include "tools/bench_protect.h"

#include "advface/protect.h"
#include "autograd/tape.h"
#include "tensor/ops.h"
#include "tools/bench_workloads.h"
#include "tools/cli.h"

namespace advf::tools {
namespace {

constexpr int kSteps = 20;
constexpr double kEpsilon = 0.02;

// The shadow of W6, with random weights.
Decoder make_shadow() {
  DecoderInfo info;
  info.spec = {"deconv", {512}, 64, 256};
  info.domain = FeatureDomain::sphere;
  return Decoder(info, 1);
}

// As a Protector works, op by op.
void protect_eager(Decoder& shadow, const Tensor& z) {
  const ProtectSettings settings{.epsilon = kEpsilon, .steps = kSteps};
  const Tensor base = shadow.forward(z);
  Tensor delta = affine(z, 0.01, 0);
  for (int i = 0; i < kSteps; ++i) {
    Tape tape;
    const TapeScope scope(tape);
    const Tensor image = shadow.forward(l2_normalise(add(z, delta)));
    const Tensor loss = sum_all(power(sub(image, base), 2));
    delta = pgd_step(delta, backward(tape, loss, {delta})[0], settings.effective_step_size(), kEpsilon);
  }
  shadow.forward(l2_normalise(add(z, delta)));
}

}  // namespace

bool bench_protect_calls(int repeat, Report& report) {
  Decoder shadow = make_shadow();
  shadow.train(false);
  Protector protector(shadow, {.epsilon = kEpsilon, .steps = kSteps});
  for (const int64_t n : {256, 32, 1}) {
    if (interrupted()) return false;
    const std::string title = "protect, 64x64 deconv, 20 steps, a call of " + std::to_string(n);
    const Tensor z = random_features(n, 512);
    const std::vector<Variant> variants = {{"eager", [&] { protect_eager(shadow, z); }},
                                           {"plan", [&] { protector.protect(z, 0); }}};
    if (!measure_variants("W6", title, double(n), "features", {}, variants, repeat, report)) return false;
  }
  return true;
}

}  // namespace advf::tools
