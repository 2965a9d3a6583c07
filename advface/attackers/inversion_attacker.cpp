#include "advface/attackers/inversion_attacker.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

#include "advface/attackers/varied_image.h"
#include "advface/networks/reader.h"
#include "autograd/named_plan.h"
#include "nn/freeze.h"
#include "nn/optim.h"
#include "tensor/ops.h"
#include "tensor/rng.h"

namespace advf {
namespace {

constexpr int64_t kBatch = 8;          // images at once
constexpr double kMostShift = 0.06;    // of the side, either way
constexpr double kMostStretch = 0.12;  // of either side, on its own
constexpr double kMostRate = 10, kMostSmoothness = 1e6;
constexpr double kRestartNoise = 0.3;  // of the correction where a further restart begins

// What happens to the image before the recogniser sees it at one step: the same for all images of it.
struct View {
  double down = 0, right = 0;  // shifts in pixels of the image
  double tall = 1, wide = 1;   // what of the image is seen, along each side
  bool mirrored = false;
};
View random_view(uint64_t seed, int64_t restart, int64_t step, int64_t size) {
  const Philox rng{seed, (uint64_t(1) << 62) | uint64_t(restart)};
  const auto either = [&](uint64_t i) { return 2 * double(rng.uniform(5 * uint64_t(step) + i)) - 1; };
  return {either(0) * kMostShift * double(size), either(1) * kMostShift * double(size),
          1 + kMostStretch * either(2), 1 + kMostStretch * either(3), either(4) < 0};
}

// (n): cosines of rows of two tensors.
Tensor cosines(const Tensor& a, const Tensor& b) {
  const Shape flat{a.dim(0), a.numel() / a.dim(0)};
  return reduce_sum(mul(l2_normalise(reshape(a, flat)), l2_normalise(reshape(b, flat))), {1}, false);
}

class InversionAttacker : public Attacker {
 public:
  InversionAttacker(const InversionSpec& spec, const AttackerInput& input) : spec_(spec), input_(input) {
    from_.recogniser = input.recogniser->fingerprint();
    from_.cut = input.cut;
    from_.split_seed = input.split_seed;
    const FeatureSpace stored = input_.stored_space();
    from_.protection = input_.through ? input_.through->id() : ProtectionId();
    from_.domain = stored.domain;
    row_ = target_row_ = stored.row;
    if (!spec_.reader.empty()) take_reader();
    if (!spec_.decoder.empty()) take_decoder();
    if (spec_.image_size == 0) spec_.image_size = input.image_size;
    settings_ = told_settings(spec_);
  }

  const Provenance& provenance() const override { return from_; }
  const Shape& row() const override { return row_; }
  int image_size() const override { return int(spec_.image_size); }
  std::string kind() const override { return "inversion"; }
  std::string name() const override { return "inversion"; }
  Metadata settings() const override { return settings_; }
  Tensor mean_face() const override {
    return decoder_ ? decoder_->statistics().mean_face : input_.mean_face(image_size());
  }

  Tensor attack(const Tensor& features, const Context& context) const override {
    const NoTapeScope off;
    const int64_t n = features.dim(0), most = input_.recogniser->one_at_a_time().empty() ? kBatch : 1;
    const auto progress = context.begin("invert", n, "images");
    std::vector<Tensor> parts;
    for (int64_t begin = 0; begin < n;) {
      const int64_t batch = std::min(most, n - begin);
      const Tensor stored = features.slice_batch(begin, begin + batch);
      parts.push_back(best_of(reader_ ? reader_->forward(stored) : stored, context, *progress));
      begin += batch;
    }
    progress->finish();
    return parts.size() == 1 ? parts[0] : concat(parts, 0);
  }

 private:
  struct Plans;
  struct Found {
    std::vector<float> images, cosines;
  };
  void take_reader();
  void take_decoder();
  void has_seen(const Provenance& from, const std::string& file);
  const VariedImage& varied() const;
  Tensor likeness(const Tensor& image, const Tensor& rows, const Tensor& columns, const Tensor& target) const;
  Plans& plans_for(int64_t batch) const;
  std::vector<Tensor> start(Plans& plans, const Tensor& targets, int64_t restart) const;
  Found shown(Plans& plans, const std::vector<Tensor>& variables) const;
  Tensor best_of(const Tensor& targets, const Context& context, ProgressLine& progress) const;
  std::vector<Tensor> climb(Plans& plans, const std::vector<Tensor>& from, int64_t restart,
                            const Context& context) const;

  InversionSpec spec_;
  AttackerInput input_;
  Metadata settings_;
  Provenance from_;
  Shape row_, target_row_;  // of a feature that is stored, and of what is looked for
  std::unique_ptr<const Reader> reader_;
  std::shared_ptr<const Decoder> decoder_;
  bool decoder_knows_ = false;  // the decoder takes what is looked for
  mutable std::unique_ptr<VariedImage> varied_;
  mutable std::map<int64_t, std::unique_ptr<Plans>> plans_;  // by the number of images
};

struct InversionAttacker::Plans {
  NamedPlan step;  // target, rows, columns, hyper; of each variable itself, .m, .v -> variables, cosine
  NamedPlan show;  // target, rows, columns, variables -> image, cosine
  std::vector<std::string> names;  // of the variables
};

// Whom a network of it has seen, the attacker has seen.
void InversionAttacker::has_seen(const Provenance& from, const std::string& file) {
  check(from_.people.empty() || from_.split_seed == from.split_seed, file, ": trained with --split-seed ",
        from.split_seed, ", but ", spec_.reader, " with ", from_.split_seed, "; their test people differ");
  from_.split_seed = from.split_seed;
  std::vector<int64_t> all;
  std::set_union(from_.people.begin(), from_.people.end(), from.people.begin(), from.people.end(),
                 std::back_inserter(all));
  from_.people = std::move(all);
}

void InversionAttacker::take_reader() {
  reader_ = Reader::load(spec_.reader);
  input_.check_same_source(reader_->provenance(), spec_.reader);
  has_seen(reader_->provenance(), spec_.reader);
  from_.protection = reader_->provenance().protection;
  from_.domain = reader_->provenance().domain;
  row_ = reader_->feature();
  if (reader_->emits_embeddings()) target_row_ = {reader_->info().spec.out};
}

void InversionAttacker::take_decoder() {
  decoder_ = decoder_for(spec_.decoder, input_);
  const DecoderInfo& info = decoder_->info();
  check(spec_.image_size == 0 || spec_.image_size == info.spec.image_size, spec_.decoder,
        ": makes images of ", info.spec.image_size, " pixels, not of ", spec_.image_size,
        "; leave the inversion's size out");
  spec_.image_size = info.spec.image_size;
  has_seen(info, spec_.decoder);
  // A reader's features are as the recogniser makes them.
  const ProtectionId& trained_on = info.protection;
  const bool raw = reader_ || from_.protection.is_raw();
  decoder_knows_ = target_row_ == info.spec.feature && trained_on.known() && from_.protection.known() &&
                   (trained_on.is_raw() ? raw : !reader_ && trained_on.is_like(from_.protection));
}

const VariedImage& InversionAttacker::varied() const {
  if (!varied_) varied_ = std::make_unique<VariedImage>(spec_.image_size, spec_.grid, mean_face(), decoder_);
  return *varied_;
}

// (n): how much of the target the recogniser finds in what is seen of the images.
Tensor InversionAttacker::likeness(const Tensor& image, const Tensor& rows, const Tensor& columns,
                                   const Tensor& target) const {
  const Tensor seen = seen_through(image, rows, columns);
  if (!reader_ || !reader_->emits_embeddings()) return cosines(input_.probes_of(seen), target);
  const Recogniser& r = *input_.recogniser;
  return cosines(r.features(r.preprocess(seen), r.card().embedding.name), target);
}

InversionAttacker::Plans& InversionAttacker::plans_for(int64_t batch) const {
  std::unique_ptr<Plans>& slot = plans_[batch];
  if (slot) return *slot;
  const RecogniserCard::Input& side = input_.recogniser->card().input;
  const auto variables = varied().variables(batch);
  const Tensor target = Tensor::meta(with_rows(batch, target_row_)),
               rows = Tensor::meta({side.height, spec_.image_size}),
               columns = Tensor::meta({side.width, spec_.image_size});
  const auto inputs = [&](NamedTensors& in) {
    in.add("target", target);
    in.add("rows", rows);
    in.add("columns", columns);
    std::vector<Tensor> list;
    for (const auto& [name, shape] : variables) in.add(name, list.emplace_back(Tensor::meta(shape)));
    return list;
  };
  const auto climbing = [&] {
    Tape tape(Tape::Keep::everything);
    NamedTensors in, out;
    const std::vector<Tensor> at = inputs(in);
    std::vector<Tensor> m, v, hyper;
    for (const auto& [name, shape] : variables) {
      in.add(name + ".hyper", hyper.emplace_back(Tensor::meta({8})));
      in.add(name + ".m", m.emplace_back(Tensor::meta(shape)));
      in.add(name + ".v", v.emplace_back(Tensor::meta(shape)));
    }
    std::vector<Carry> round;
    {
      const MetaScope meta;
      const TapeScope scope(tape);
      const Tensor image = varied().image(at);
      const Tensor found = likeness(image, rows, columns, target);
      // A sum: an image must not depend on its neighbours.
      const Tensor loss = sum_all(sub(affine(total_variation(image), spec_.smoothness, 0), found));
      tape = fold_batch_norm(tape, std::span(&loss, 1));
      const std::vector<Tensor> gradients = backward(tape, loss, at, true);
      for (size_t i = 0; i < at.size(); ++i) {
        const auto next = apply(op_adam_step, {}, {at[i], gradients[i], m[i], v[i], hyper[i]});
        round.insert(round.end(), {{at[i], next[0]}, {m[i], next[1]}, {v[i], next[2]}});
        out.add(variables[i].first, next[0]);
      }
      out.add("cosine", found);
    }
    return NamedPlan(tape, in, out, round);
  };
  const auto showing = [&] {
    Tape tape(Tape::Keep::everything);
    NamedTensors in, out;
    const std::vector<Tensor> at = inputs(in);
    {
      const MetaScope meta;
      const TapeScope scope(tape);
      const Tensor image = varied().image(at);
      out.add("image", image);
      out.add("cosine", likeness(image, rows, columns, target));
    }
    return NamedPlan(fold_batch_norm(tape, out.tensors()), in, out);
  };
  std::vector<std::string> names;
  for (const auto& [name, shape] : variables) names.push_back(name);
  slot.reset(new Plans{climbing(), showing(), names});
  return *slot;
}

// The images of these variables, and what the recogniser finds in them, neither shifted nor mirrored.
InversionAttacker::Found InversionAttacker::shown(Plans& plans, const std::vector<Tensor>& variables) const {
  for (size_t i = 0; i < variables.size(); ++i) plans.show.set(plans.names[i], variables[i]);
  plans.show.run();
  return {plans.show.get("image").to_vector<float>(), plans.show.get("cosine").to_vector<float>()};
}

// Where the ascent of a restart begins. A decoder that knows what is stored begins at what it makes of that,
// unless the recogniser finds more of it in the mean.
std::vector<Tensor> InversionAttacker::start(Plans& plans, const Tensor& targets, int64_t restart) const {
  std::vector<Tensor> at;
  const Philox rng{spec_.seed, (uint64_t(1) << 61) | uint64_t(restart)};
  uint64_t drawn = 0;
  for (const std::string& name : plans.names) {
    const Shape shape = plans.step.input_shape(name);
    at.push_back(Tensor::zeros(shape));
    if (restart == 0)
      continue;  // one start for all images, so that each has its own result whoever is beside it
    std::vector<float> values(size_t(shape.numel()));
    const size_t one = values.size() / size_t(shape[0]);
    for (size_t k = 0; k < one; ++k) values[k] = float(kRestartNoise * double(rng.normal(drawn++)));
    for (size_t k = one; k < values.size(); ++k) values[k] = values[k - one];
    at.back() = Tensor::from(values, shape);
  }
  if (restart > 0 || !decoder_knows_) return at;
  const std::vector<Tensor> there = varied().at_features(targets);
  const std::vector<float> mean = shown(plans, at).cosines, own = shown(plans, there).cosines;
  for (size_t k = 0; k < at.size(); ++k) {
    std::vector<float> values = at[k].to_vector<float>();
    const std::vector<float> other = there[k].to_vector<float>();
    const size_t one = values.size() / own.size();
    for (size_t i = 0; i < own.size(); ++i)
      if (own[i] > mean[i])
        std::copy_n(other.begin() + std::ptrdiff_t(i * one), one, values.begin() + std::ptrdiff_t(i * one));
    at[k] = Tensor::from(values, at[k].shape());
  }
  return at;
}

// The variables after all steps.
std::vector<Tensor> InversionAttacker::climb(Plans& plans, const std::vector<Tensor>& from, int64_t restart,
                                             const Context& context) const {
  const RecogniserCard::Input& side = input_.recogniser->card().input;
  for (size_t i = 0; i < from.size(); ++i) {
    plans.step.set(plans.names[i], from[i]);
    for (const char* moment : {".m", ".v"})
      plans.step.set(plans.names[i] + moment, Tensor::zeros(from[i].shape()));
  }
  for (int64_t step = 0; step < spec_.steps; ++step) {
    context.check_stop();
    const View view = random_view(spec_.seed, restart, step, spec_.image_size);
    const double t = double(step + 1);
    // Down to nothing along half a cosine: the mean of many views, not the last few, has the last word.
    const double decay = 0.5 * (1 + std::cos(std::numbers::pi * double(step) / double(spec_.steps)));
    for (const std::string& name : plans.names) {
      const double rate = decay * (name == "latent" ? spec_.latent_rate : spec_.rate);
      plans.step.set(name + ".hyper", Tensor::from(std::vector<float>{float(rate), 0.9f, 0.999f, 1e-8f, 0, 0,
                                                                      float(1 - std::pow(0.9, t)),
                                                                      float(1 - std::pow(0.999, t))},
                                                   {8}));
    }
    plans.step.set("rows", enlarging(side.height, spec_.image_size, view.down, false, view.tall));
    plans.step.set("columns", enlarging(side.width, spec_.image_size, view.right, view.mirrored, view.wide));
    plans.step.run();
  }
  std::vector<Tensor> at;
  for (const std::string& name : plans.names) at.push_back(plans.step.get(name));
  return at;
}

// Of several restarts each image keeps the one in which the recogniser finds most of the feature.
Tensor InversionAttacker::best_of(const Tensor& targets, const Context& context,
                                  ProgressLine& progress) const {
  Plans& plans = plans_for(targets.dim(0));
  const RecogniserCard::Input& side = input_.recogniser->card().input;
  for (NamedPlan* plan : {&plans.step, &plans.show}) plan->set("target", targets);
  plans.show.set("rows", enlarging(side.height, spec_.image_size, 0, false));
  plans.show.set("columns", enlarging(side.width, spec_.image_size, 0, false));
  Found best;
  for (int64_t restart = 0; restart < spec_.restarts; ++restart) {
    const Found found = shown(plans, climb(plans, start(plans, targets, restart), restart, context));
    if (restart == 0) {
      best = found;
      continue;
    }
    const size_t one = found.images.size() / found.cosines.size();
    for (size_t i = 0; i < found.cosines.size(); ++i)
      if (found.cosines[i] > best.cosines[i]) {
        best.cosines[i] = found.cosines[i];
        std::copy_n(found.images.begin() + std::ptrdiff_t(i * one), one,
                    best.images.begin() + std::ptrdiff_t(i * one));
      }
  }
  double sum = 0;
  for (float c : best.cosines) sum += double(c);
  progress.advance(targets.dim(0),
                   "cosine " + std::to_string(sum / double(best.cosines.size())).substr(0, 6));
  return Tensor::from(best.images, {targets.dim(0), 3, spec_.image_size, spec_.image_size});
}

}  // namespace

Settings InversionSpec::settings() {
  return {
      whole_setting("steps", steps, {1, 100000}, "gradient steps"),
      whole_setting("restarts", restarts, {1, 1000}, "from other beginnings; each image keeps the best"),
      whole_setting("size", image_size, {0, 256},
                    "side of the image in pixels; 0: that of the other attackers, or 64"),
      whole_setting("grid", grid, {0, 256}, "side of the correction of the mean face, which is enlarged"),
      number_setting("rate", rate, {0, kMostRate, true}, "of the steps (Adam)"),
      number_setting("smoothness", smoothness, {0, kMostSmoothness}, "weight of the image's total variation"),
      number_setting("latent_rate", latent_rate, {0, kMostRate},
                     "of its input, in standard deviations; 0: it stays"),
      file_setting("decoder", decoder,
                   "file of a trained decoder, whose image is corrected instead of the mean face"),
      file_setting(
          "reader", reader,
          "file of advface-train linkage, which leads what is stored back to the recogniser's space first"),
      seed_setting(seed)};
}

void InversionSpec::check_valid() const {
  check(steps >= 1 && steps <= 100000, "steps must lie between 1 and 100000, not ", steps);
  check(restarts >= 1 && restarts <= 1000, "restarts must lie between 1 and 1000, not ", restarts);
  check(image_size == 0 || (image_size >= 16 && image_size <= 256),
        "the size must lie between 16 and 256, not ", image_size);
  check((grid >= 4 && grid <= 256) || (grid == 0 && !decoder.empty()),
        "the grid must lie between 4 and 256, or be 0 with a decoder, not ", grid);
  check(rate > 0 && rate <= kMostRate, "the rate must lie above 0 and not above ", kMostRate, ", not ", rate);
  check(latent_rate >= 0 && latent_rate <= kMostRate, "the latent_rate must lie between 0 and ", kMostRate,
        ", not ", latent_rate);
  check(latent_rate == 0 || !decoder.empty(),
        "latent_rate varies the input of a decoder, but none is named: decoder=FILE");
  check(grid > 0 || latent_rate > 0,
        "with grid=0 and latent_rate=0 nothing of the image varies; give one of them");
  check(smoothness >= 0 && smoothness <= kMostSmoothness, "the smoothness must lie between 0 and ",
        kMostSmoothness, ", not ", smoothness);
}

std::unique_ptr<Attacker> InversionSpec::make(const AttackerInput& input) const {
  return std::make_unique<InversionAttacker>(*this, input);
}

}  // namespace advf
