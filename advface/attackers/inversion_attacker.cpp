#include "advface/attackers/inversion_attacker.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "autograd/named_plan.h"
#include "nn/freeze.h"
#include "nn/optim.h"
#include "tensor/ops.h"
#include "tensor/rng.h"

namespace advf {
namespace {

constexpr int64_t kBatch = 8;              // images at once
constexpr double kMostShift = 0.06;        // of the side, either way
constexpr double kLeastBrightness = 0.02;  // of the mean face, whose logit must be finite
constexpr double kRestartNoise = 0.3;      // of the correction where a further restart begins

// The weights (out, in) of enlarging a row of `in` pixels to `out`, bilinear with half-pixel centres, after a
// shift by `shift` pixels of the input, and mirrored.
Tensor enlarging(int64_t out, int64_t in, double shift, bool mirrored) {
  std::vector<float> w(size_t(out * in), 0.0f);
  for (int64_t i = 0; i < out; ++i) {
    double at = (double(i) + 0.5) * double(in) / double(out) - 0.5 + shift;
    if (mirrored) at = double(in - 1) - at;
    at = std::clamp(at, 0.0, double(in - 1));
    const auto low = std::min(int64_t(at), std::max<int64_t>(in - 2, 0));
    const double part = at - double(low);
    w[size_t(i * in + low)] += float(1 - part);
    if (in > 1) w[size_t(i * in + low + 1)] += float(part);
  }
  return Tensor::from(w, {out, in});
}

// What happens to the image before the recogniser sees it at one step: the same for all images of it.
struct View {
  double down = 0, right = 0;  // shifts in pixels of the image
  bool mirrored = false;
};
View random_view(uint64_t seed, int64_t restart, int64_t step, int64_t size) {
  const Philox rng{seed, (uint64_t(1) << 62) | uint64_t(restart)};
  const auto shift = [&](uint64_t i) {
    return (2 * double(rng.uniform(3 * uint64_t(step) + i)) - 1) * kMostShift * double(size);
  };
  return {shift(0), shift(1), rng.uniform(3 * uint64_t(step) + 2) < 0.5f};
}

// (n): cosines of rows of two tensors.
Tensor cosines(const Tensor& a, const Tensor& b) {
  const Shape flat{a.dim(0), a.numel() / a.dim(0)};
  return reduce_sum(mul(l2_normalise(reshape(a, flat)), l2_normalise(reshape(b, flat))), {1}, false);
}

class InversionAttacker : public Attacker {
 public:
  InversionAttacker(const InversionSpec& spec, const AttackerInput& input) : spec_(spec), input_(input) {
    if (spec_.image_size == 0) spec_.image_size = input.image_size;
    spec_.grid = std::min(spec_.grid, spec_.image_size);
    from_.recogniser = input.recogniser->fingerprint();
    from_.cut = input.cut;
    from_.domain = input.recogniser->domain(input.cut);
    from_.split_seed = input.split_seed;
  }

  const Provenance& provenance() const override { return from_; }
  const Shape& row() const override { return input_.recogniser->feature_shape(input_.cut); }
  int image_size() const override { return int(spec_.image_size); }
  std::string kind() const override { return "inversion"; }
  std::string name() const override { return "inversion"; }
  Tensor mean_face() const override { return input_.mean_face(image_size()); }

  Tensor attack(const Tensor& features, const Context& context) const override {
    const NoTapeScope off;
    const int64_t n = features.dim(0), most = input_.recogniser->one_at_a_time().empty() ? kBatch : 1;
    const auto progress = context.begin("invert", n, "images");
    std::vector<Tensor> parts;
    for (int64_t begin = 0; begin < n;) {
      const int64_t batch = std::min(most, n - begin);
      parts.push_back(best_of(features.slice_batch(begin, begin + batch), context, *progress));
      begin += batch;
    }
    progress->finish();
    return parts.size() == 1 ? parts[0] : concat(parts, 0);
  }

 private:
  struct Plans;
  Plans& plans_for(int64_t batch) const;
  Tensor best_of(const Tensor& targets, const Context& context, ProgressLine& progress) const;
  void climb(Plans& plans, int64_t restart, const Context& context) const;

  InversionSpec spec_;
  AttackerInput input_;
  Provenance from_;
  mutable std::map<int64_t, std::unique_ptr<Plans>> plans_;  // by the number of images
};

struct InversionAttacker::Plans {
  NamedPlan step;  // target, base, correction, m, v, hyper, rows, columns -> correction, cosine
  NamedPlan show;  // base, correction, target, rows, columns -> image, cosine
};

// The image of a correction (n,3,grid,grid) of the base, a logit.
Tensor image_of(const Tensor& base, const Tensor& correction) {
  const int64_t size = base.dim(2);
  return sigmoid(add(resize2d(correction, {.size = {size, size}}), base));
}

// Every image (n,3,s,s) through (h,s) and (w,s): (n,3,h,w).
Tensor seen_through(const Tensor& image, const Tensor& rows, const Tensor& columns) {
  const int64_t n = image.dim(0), s = image.dim(2), h = rows.dim(0), w = columns.dim(0);
  const MatmulAttrs by{.transpose_b = true};
  const Tensor wide = reshape(matmul(reshape(image, {n * 3 * s, s}), columns, {}, by), {n, 3, s, w});
  const Tensor tall = matmul(reshape(permute(wide, {0, 1, 3, 2}), {n * 3 * w, s}), rows, {}, by);
  return permute(reshape(tall, {n, 3, w, h}), {0, 1, 3, 2});
}

// (n): the mean absolute difference of neighbouring pixels.
Tensor variation(const Tensor& image) {
  const int64_t s = image.dim(2);
  const auto along = [&](int axis) {
    const Tensor d = sub(slice(image, axis, 1, s), slice(image, axis, 0, s - 1));
    return mean(abs(d), {1, 2, 3}, false);
  };
  return add(along(2), along(3));
}

InversionAttacker::Plans& InversionAttacker::plans_for(int64_t batch) const {
  std::unique_ptr<Plans>& slot = plans_[batch];
  if (slot) return *slot;
  const Recogniser& r = *input_.recogniser;
  const int64_t s = spec_.image_size, h = r.card().input.height, w = r.card().input.width;
  const Tensor target = Tensor::meta(with_rows(batch, row())), base = Tensor::meta({1, 3, s, s}),
               rows = Tensor::meta({h, s}), columns = Tensor::meta({w, s});
  const auto small = [&] { return Tensor::meta({batch, 3, spec_.grid, spec_.grid}); };
  const auto seen = [&](const Tensor& image) {
    return cosines(r.features(r.preprocess(seen_through(image, rows, columns)), input_.cut), target);
  };
  const auto climbing = [&] {
    Tape tape(Tape::Keep::everything);
    const Tensor correction = small(), m = small(), v = small(), hyper = Tensor::meta({8});
    NamedTensors in, out;
    for (const auto& [name, tensor] : {std::pair<const char*, Tensor>{"target", target},
                                       {"base", base},
                                       {"correction", correction},
                                       {"m", m},
                                       {"v", v},
                                       {"hyper", hyper},
                                       {"rows", rows},
                                       {"columns", columns}})
      in.add(name, tensor);
    std::vector<Carry> round;
    {
      const MetaScope meta;
      const TapeScope scope(tape);
      const Tensor image = image_of(base, correction);
      const Tensor likeness = seen(image);
      // A sum: an image must not depend on its neighbours.
      const Tensor loss = sum_all(sub(affine(variation(image), spec_.smoothness, 0), likeness));
      tape = fold_batch_norm(tape, std::span(&loss, 1));
      const Tensor gradient = backward(tape, loss, {correction}, true)[0];
      const auto next = apply(op_adam_step, {}, {correction, gradient, m, v, hyper});
      round = {{correction, next[0]}, {m, next[1]}, {v, next[2]}};
      out.add("correction", next[0]);
      out.add("cosine", likeness);
    }
    return NamedPlan(tape, in, out, round);
  };
  const auto showing = [&] {
    Tape tape(Tape::Keep::everything);
    const Tensor correction = small();
    NamedTensors in, out;
    in.add("target", target);
    in.add("base", base);
    in.add("correction", correction);
    in.add("rows", rows);
    in.add("columns", columns);
    {
      const MetaScope meta;
      const TapeScope scope(tape);
      const Tensor image = image_of(base, correction);
      out.add("image", image);
      out.add("cosine", seen(image));
    }
    return NamedPlan(fold_batch_norm(tape, out.tensors()), in, out);
  };
  slot.reset(new Plans{climbing(), showing()});
  return *slot;
}

// The mean face as a logit.
Tensor base_of(const Tensor& face) {
  std::vector<float> values = face.to_vector<float>();
  for (float& v : values) {
    const double p = std::clamp(double(v), kLeastBrightness, 1 - kLeastBrightness);
    v = float(std::log(p / (1 - p)));
  }
  return Tensor::from(values, {1, face.dim(0), face.dim(1), face.dim(2)});
}

// Leaves the correction found in plans.step.
void InversionAttacker::climb(Plans& plans, int64_t restart, const Context& context) const {
  const RecogniserCard::Input& side = input_.recogniser->card().input;
  const Shape shape = plans.step.input_shape("correction");
  Tensor start = Tensor::zeros(shape);
  if (restart > 0) {  // one start for all images, so that each has its own result whoever is beside it
    const Philox rng{spec_.seed, (uint64_t(1) << 61) | uint64_t(restart)};
    std::vector<float> one(size_t(shape.numel(1, 4)));
    for (size_t k = 0; k < one.size(); ++k) one[k] = float(kRestartNoise * double(rng.normal(k)));
    start = repeat(Tensor::from(one, {3, spec_.grid, spec_.grid}), shape[0]);
  }
  plans.step.set("correction", start);
  plans.step.set("m", Tensor::zeros(shape));
  plans.step.set("v", Tensor::zeros(shape));
  for (int64_t step = 0; step < spec_.steps; ++step) {
    context.check_stop();
    const View view = random_view(spec_.seed, restart, step, spec_.image_size);
    const double t = double(step + 1);
    plans.step.set(
        "hyper", Tensor::from(std::vector<float>{float(spec_.rate), 0.9f, 0.999f, 1e-8f, 0, 0,
                                                 float(1 - std::pow(0.9, t)), float(1 - std::pow(0.999, t))},
                              {8}));
    plans.step.set("rows", enlarging(side.height, spec_.image_size, view.down, false));
    plans.step.set("columns", enlarging(side.width, spec_.image_size, view.right, view.mirrored));
    plans.step.run();
  }
}

// Of several restarts each image keeps the one in which the recogniser finds most of the feature.
Tensor InversionAttacker::best_of(const Tensor& targets, const Context& context,
                                  ProgressLine& progress) const {
  Plans& plans = plans_for(targets.dim(0));
  const RecogniserCard::Input& side = input_.recogniser->card().input;
  const Tensor base = base_of(mean_face());
  for (NamedPlan* plan : {&plans.step, &plans.show}) {
    plan->set("target", targets);
    plan->set("base", base);
  }
  plans.show.set("rows", enlarging(side.height, spec_.image_size, 0, false));
  plans.show.set("columns", enlarging(side.width, spec_.image_size, 0, false));
  std::vector<float> best, found;
  for (int64_t restart = 0; restart < spec_.restarts; ++restart) {
    climb(plans, restart, context);
    plans.show.set("correction", plans.step.get("correction"));
    plans.show.run();
    const auto images = plans.show.get("image").to_vector<float>();
    const auto likeness = plans.show.get("cosine").to_vector<float>();
    if (best.empty()) {
      best = images;
      found = likeness;
      continue;
    }
    const size_t one = images.size() / likeness.size();
    for (size_t i = 0; i < likeness.size(); ++i)
      if (likeness[i] > found[i]) {
        found[i] = likeness[i];
        std::copy_n(images.begin() + std::ptrdiff_t(i * one), one, best.begin() + std::ptrdiff_t(i * one));
      }
  }
  double sum = 0;
  for (float c : found) sum += double(c);
  progress.advance(targets.dim(0), "cosine " + std::to_string(sum / double(found.size())).substr(0, 6));
  return Tensor::from(best, {targets.dim(0), 3, spec_.image_size, spec_.image_size});
}

}  // namespace

Settings InversionSpec::settings() {
  return {
      whole_setting("steps", steps, "gradient steps"),
      whole_setting("restarts", restarts, "from other beginnings; each image keeps the best"),
      whole_setting("size", image_size, "side of the image in pixels; 0: that of the other attackers, or 64"),
      whole_setting("grid", grid, "side of the correction of the mean face, which is enlarged"),
      number_setting("rate", rate, "of the steps (Adam)"),
      number_setting("smoothness", smoothness, "weight of the image's total variation"),
      seed_setting(seed)};
}

void InversionSpec::check_valid() const {
  check(steps >= 1 && steps <= 100000, "steps must lie between 1 and 100000, not ", steps);
  check(restarts >= 1 && restarts <= 1000, "restarts must lie between 1 and 1000, not ", restarts);
  check(image_size == 0 || (image_size >= 16 && image_size <= 256),
        "the size must lie between 16 and 256, not ", image_size);
  check(grid >= 4 && grid <= 256, "the grid must lie between 4 and 256, not ", grid);
  check(std::isfinite(rate) && rate > 0, "the rate must be positive, not ", rate);
  check(std::isfinite(smoothness) && smoothness >= 0, "the smoothness must not be negative, not ",
        smoothness);
}

std::unique_ptr<Attacker> InversionSpec::make(const AttackerInput& input) const {
  return std::make_unique<InversionAttacker>(*this, input);
}

}  // namespace advf
