#include "advface/protections/ascent/ascent_settings.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "advface/protections/guarantee.h"

namespace advf {

// clang-format off
template <> const std::vector<Choice<Objective>>& choices<Objective>() {
  static const std::vector<Choice<Objective>> list = {{Objective::direct, "direct"},
                                                      {Objective::shadow_pair, "shadow-pair"},
                                                      {Objective::cycle, "cycle"},
                                                      {Objective::original, "original"},
                                                      {Objective::mean_face, "mean-face"},
                                                      {Objective::linkage, "linkage"},
                                                      {Objective::attribute, "attribute"},
                                                      {Objective::inversion, "inversion"}};
  return list;
}
template <> const std::vector<Choice<Loss>>& choices<Loss>() {
  static const std::vector<Choice<Loss>> list = {
      {Loss::pixel, "pixel"}, {Loss::structure, "structure"}, {Loss::identity, "identity"}};
  return list;
}
template <> const std::vector<Choice<Method>>& choices<Method>() {
  static const std::vector<Choice<Method>> list = {{Method::pgd, "pgd"},
                                                   {Method::fgsm, "fgsm"},
                                                   {Method::bim, "bim"},
                                                   {Method::mi_fgsm, "mi-fgsm"},
                                                   {Method::adam, "adam"}};
  return list;
}
template <> const std::vector<Choice<Norm>>& choices<Norm>() {
  static const std::vector<Choice<Norm>> list = {{Norm::linf, "linf"}, {Norm::l2, "l2"}};
  return list;
}
template <> const std::vector<Choice<Start>>& choices<Start>() {
  static const std::vector<Choice<Start>> list = {{Start::seed, "seed"}, {Start::secret, "secret"}};
  return list;
}
template <> const std::vector<Choice<BatchNormMode>>& choices<BatchNormMode>() {
  static const std::vector<Choice<BatchNormMode>> list = {{BatchNormMode::running, "running"},
                                                          {BatchNormMode::batch, "batch"},
                                                          {BatchNormMode::recalibrated, "recalibrated"}};
  return list;
}
template <> const std::vector<Choice<Ensemble>>& choices<Ensemble>() {
  static const std::vector<Choice<Ensemble>> list = {{Ensemble::mean, "mean"},
                                                     {Ensemble::hardest, "hardest"}};
  return list;
}
// clang-format on

int AscentSettings::effective_steps() const { return steps.value_or(method == Method::fgsm ? 1 : 10); }

double AscentSettings::effective_step_size() const {
  if (step_size > 0) return step_size;
  switch (method) {
    case Method::fgsm:
      return epsilon;
    case Method::bim:
    case Method::mi_fgsm:
      return epsilon / effective_steps();
    case Method::pgd:
    case Method::adam:
      return 2.5 * epsilon / effective_steps();
  }
  return 0;
}

Settings AscentSettings::list() {
  Setting drawn_from_seed = seed_setting(seed);
  drawn_from_seed.applies = [this] { return start == Start::seed; };
  return {number_setting(
              "epsilon", epsilon, {0, kMostEpsilon},
              "bound of the noise: of a vector in its own units, of a map in deviations of each channel"),
          whole_setting("steps", steps, {1, 100000}, "gradient steps (default: 10; fgsm takes 1)"),
          number_setting("step_size", step_size, {0, 10 * kMostEpsilon},
                         "length of a step; 0 = 2.5 epsilon / steps, for bim and mi-fgsm epsilon / steps"),
          choice_setting("objective", objective, "what the noise drives apart"),
          choice_setting("loss", loss, "how the distance of two images is measured"),
          choice_setting("method", method, "how the noise is found"),
          choice_setting("norm", norm, "of the ball (for l2 on the sphere: the cap) of noise"),
          choice_setting("bn", batch_norm, "what the shadow's batch norm normalises by"),
          choice_setting("ensemble", ensemble, "of several shadows: their mean loss, or the least"),
          number_setting(
              "keep_recognition", keep_recognition, {0, 1},
              "shrink a record's noise until the cosine of its embedding to the raw one is at least this"),
          younger([this] { return start != Start::seed; },
                  choice_setting("start", start,
                                 "the random start of each record comes of --seed, or of a secret, so that "
                                 "nobody can make the same noise")),
          drawn_from_seed};
}

double AscentSettings::unit(const Shape& feature) const {
  return norm == Norm::l2 && feature.rank() == 3 ? std::sqrt(double(feature.numel())) : 1;
}

std::optional<double> AscentSettings::largest_angle(const Shape& feature, FeatureDomain domain) const {
  std::optional<double> angle;
  if (domain == FeatureDomain::sphere)
    angle = norm == Norm::l2 ? angle_of_chord(std::min(epsilon, 2.0))
                             : angle_of_ball(epsilon * std::sqrt(double(feature.numel())));
  if (!keep_recognition) return angle;
  const double kept = std::acos(*keep_recognition);
  return angle ? std::min(*angle, kept) : kept;
}

bool AscentSettings::needs_recogniser(bool feature_is_embedding) const {
  return objective == Objective::shadow_pair || objective == Objective::cycle || loss == Loss::identity ||
         ((objective == Objective::linkage || keep_recognition) && !feature_is_embedding);
}

void AscentSettings::check_valid() const {
  check(epsilon >= 0 && epsilon <= kMostEpsilon, "epsilon must lie between 0 and ", kMostEpsilon, ", not ",
        epsilon);
  const int t = effective_steps();
  check(t >= 1 && t <= 100000, "the number of steps must lie between 1 and 100000, not ", t);
  check(std::isfinite(step_size) && step_size >= 0, "the step size must be positive (0 = chosen), not ",
        step_size);
  check(method != Method::fgsm || (t == 1 && (step_size == 0 || step_size == epsilon)),
        "fgsm is one step of length epsilon; it takes neither steps (", t, ") nor a step size (", step_size,
        ")");
  check(!is_of_features() || (loss == Loss::pixel && batch_norm == BatchNormMode::running), "objective ",
        name_of(objective), " looks at no image and has no batch norm: it takes neither loss nor bn");
  check(!keep_recognition || (*keep_recognition >= 0 && *keep_recognition <= 1),
        "the cosine to keep must lie between 0 and 1, not ", keep_recognition.value_or(0));
}

namespace {
template <class E>
void say(std::ostream& out, const char* what, E value, E usual) {
  if (value != usual) out << ", " << what << ' ' << name_of(value);
}
}  // namespace

std::string AscentSettings::summary() const {
  const AscentSettings usual;
  std::ostringstream out;
  out.precision(4);
  out << "epsilon " << epsilon;
  say(out, "objective", objective, usual.objective);
  say(out, "loss", loss, usual.loss);
  say(out, "method", method, usual.method);
  say(out, "norm", norm, usual.norm);
  say(out, "start", start, usual.start);
  say(out, "bn", batch_norm, usual.batch_norm);
  say(out, "ensemble", ensemble, usual.ensemble);
  AscentSettings by_method{.epsilon = epsilon, .method = method};
  if (effective_steps() != by_method.effective_steps()) out << ", steps " << effective_steps();
  by_method.steps = effective_steps();
  if (effective_step_size() != by_method.effective_step_size())
    out << ", step size " << effective_step_size();
  if (keep_recognition) out << ", keep " << *keep_recognition;
  return out.str();
}

}  // namespace advf
