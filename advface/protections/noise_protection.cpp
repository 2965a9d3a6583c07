#include "advface/protections/noise_protection.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>
#include <sstream>

#include "advface/protections/random_noise.h"

namespace advf {
namespace {

// Beside that of the ascent's start and that of the noise of equal norm which everything is compared with.
constexpr uint64_t kStream = uint64_t(3) << 62, kPrivateStream = uint64_t(1) << 62;
// Between the scale that a file states and the one that follows from its settings.
constexpr double kRounding = 1e-6;

std::string as_json(double value) { return nlohmann::json(value).dump(); }

}  // namespace

template <>
const std::vector<Choice<NoiseMechanism>>& choices<NoiseMechanism>() {
  static const std::vector<Choice<NoiseMechanism>> list = {{NoiseMechanism::length, "length"},
                                                           {NoiseMechanism::laplace, "laplace"},
                                                           {NoiseMechanism::gaussian, "gaussian"}};
  return list;
}

template <>
const std::vector<Choice<NoiseSource>>& choices<NoiseSource>() {
  static const std::vector<Choice<NoiseSource>> list = {{NoiseSource::seed, "seed"},
                                                        {NoiseSource::secret, "secret"}};
  return list;
}

Settings NoiseSpec::settings() {
  const auto private_only = [this] { return is_private(); };
  const std::string either = "--mechanism laplace or gaussian";
  // Of a guarantee the seed is the secret: it does not stand beside what it protects.
  Setting secret = seed_setting(seed);
  secret.applies = [this] { return !is_private() && source == NoiseSource::seed; };
  return {younger(private_only, choice_setting("mechanism", mechanism,
                                               "noise of a given length, or noise with a guarantee of "
                                               "(epsilon, delta) differential privacy")),
          going_with(
              "--mechanism length", [this] { return !is_private(); },
              number_setting("noise_length", length, {0, 2, true},
                             "length of the noise over that of the feature; 2 turns a unit vector "
                             "round, which protects nothing")),
          going_with(either, private_only,
                     number_setting("privacy_epsilon", privacy_epsilon, {0, kMostPrivacyEpsilon, true},
                                    "epsilon of the guarantee")),
          going_with(
              "--mechanism gaussian", [this] { return mechanism == NoiseMechanism::gaussian; },
              number_setting("delta", delta, {kLeastDelta, 1}, "delta of the guarantee")),
          going_with(either, private_only,
                     number_setting("clip", clip, {0, 1e12, true},
                                    "longest feature, of laplace in the L1 norm, of gaussian in the L2 norm; "
                                    "a longer one is shortened (default: 1 for unit vectors)")),
          going_with(either, private_only,
                     derived(number_setting("noise_scale", noise_scale, {0, 1e30, true},
                                            "sigma, or scale of Laplace noise"))),
          younger([this] { return source == NoiseSource::secret; },
                  choice_setting("noise_from", source,
                                 "noise comes of --seed, or of a number that is drawn for the call and "
                                 "forgotten, so that nobody can take it off again")),
          going_with(
              "--noise-from secret", [this] { return source == NoiseSource::secret; },
              key_setting("noise_key", noise_key,
                          "derive the secret number from this key (default: it is drawn for the call, and "
                          "forgotten); record i of all that one key protects has the same noise")),
          secret};
}

void NoiseSpec::check_valid() const {
  if (!is_private()) {
    check(std::isfinite(length) && length > 0 && length <= 2,
          "the noise's length must lie above 0 and not above 2, not ", length);
    return;
  }
  const std::string name = std::string("--mechanism ") + name_of(mechanism);
  check(privacy_epsilon.has_value(), name, " needs --privacy-epsilon");
  check(*privacy_epsilon > 0 && *privacy_epsilon <= kMostPrivacyEpsilon,
        "the privacy epsilon must lie above 0 and not above ", kMostPrivacyEpsilon, ", not ",
        *privacy_epsilon);
  check(delta >= kLeastDelta && delta < 1, "delta must lie between ", kLeastDelta, " and below 1, not ",
        delta);
  check(!clip || (std::isfinite(*clip) && *clip > 0), "the norm to clip at must be a number above 0, not ",
        clip.value_or(0));
  const double scale = private_noise().scale;
  check(std::isfinite(scale) && scale > 0, name, " makes noise of scale ", scale,
        "; take a larger --privacy-epsilon or a smaller --clip");
  check(!noise_scale || std::abs(*noise_scale - scale) <= kRounding * scale, "a noise of scale ",
        noise_scale.value_or(0), " does not follow from the settings, which ask for ", scale);
}

PrivacyNoise NoiseSpec::private_noise() const {
  const double longest = clip.value_or(1), sensitivity = 2 * longest, epsilon = privacy_epsilon.value_or(1);
  return {mechanism, longest,
          mechanism == NoiseMechanism::laplace ? laplace_scale(epsilon, sensitivity)
                                               : gaussian_sigma(epsilon, delta, sensitivity)};
}

Metadata NoiseSpec::values() const {
  Metadata values = ProtectionSpec::values();
  if (!is_private()) return values;
  values["clip"] = as_json(private_noise().clip);
  values["noise_scale"] = as_json(private_noise().scale);
  return values;
}

std::string NoiseSpec::summary() const {
  std::ostringstream out;
  out.precision(4);
  if (!is_private()) {
    out << "length " << length;
    return out.str();
  }
  const bool laplace = mechanism == NoiseMechanism::laplace;
  const PrivacyNoise noise = private_noise();
  out << name_of(mechanism) << ", privacy epsilon " << privacy_epsilon.value_or(0);
  if (!laplace) out << ", delta " << delta;
  out << (laplace ? ", L1 clip " : ", L2 clip ") << noise.clip << (laplace ? ", scale " : ", sigma ")
      << noise.scale;
  return out.str();
}

// So near to the opposite of a unit vector the random direction is lost in rounding, and nothing is left but
// the other sign.
std::string NoiseSpec::idle_in(const FeatureSpace& in) const {
  if (is_private() || in.domain != FeatureDomain::sphere ||
      std::numbers::pi - angle_of_chord(length) >= kLostInRounding)
    return "";
  std::ostringstream out;
  out << "noise-length is " << length
      << ", which turns every unit vector round, and whoever knows that turns "
      << "it back";
  return out.str();
}

std::string NoiseSpec::undone_by() const {
  if (source == NoiseSource::secret) return "";
  return "whoever knows the seed and a record's number takes the noise off again, and so does who sees "
         "another "
         "feature with the same noise; noise-from secret draws a number that nobody keeps";
}

std::unique_ptr<Protection> NoiseSpec::make(const ProtectionInput& input) const {
  check_domain_known(input, "noise");
  const bool on_sphere = input.space.domain == FeatureDomain::sphere;
  if (is_private() && !on_sphere && !clip)
    throw WrongCall("the protection noise must know how long a feature may be, as " + input.what +
                    " are no unit vectors: give --clip");
  check(is_private() || !on_sphere || input.space.row.numel() > 1, input.what,
        ": a unit vector of one value cannot be turned");
  NoiseSpec made = *this;
  if (source == NoiseSource::secret) made.seed = secret_seed(noise_key, "advface-noisenum");
  return std::make_unique<NoiseProtection>(made, input.space);
}

Guarantee NoiseProtection::guarantee() const {
  Guarantee proved;
  if (spec_.is_private()) {
    const bool exact = spec_.mechanism == NoiseMechanism::laplace;  // delta = 0
    proved.privacy = {spec_.privacy_epsilon.value_or(0), exact ? 0 : spec_.delta, spec_.private_noise(),
                      spec_.source == NoiseSource::seed};
  } else if (space_.domain == FeatureDomain::sphere) {
    proved.largest_angle = angle_of_chord(spec_.length);
  }
  return proved;
}

ProtectedRows NoiseProtection::apply(const Tensor& features, std::span<const int64_t> records,
                                     const Tensor& /*photographs*/, const Context& context) {
  if (spec_.is_private()) {
    const PrivacyNoise noise = spec_.private_noise();
    return protect_each(
        features, records, space_, context, "give a smaller --privacy-epsilon",
        [&](int64_t record, std::span<const float> feature, std::span<float> stored) {
          add_private_noise(feature, noise, spec_.seed, uint64_t(record) | kPrivateStream, stored);
          bring_into_domain(stored, space_.domain, [&] { return "record " + std::to_string(record); });
        });
  }
  const bool on_sphere = space_.domain == FeatureDomain::sphere;
  return protect_each(features, records, space_, context, "give a larger --noise-length",
                      [&](int64_t record, std::span<const float> feature, std::span<float> stored) {
                        move_at_random(feature, on_sphere, 1 - spec_.length * spec_.length / 2,
                                       spec_.length * norm(feature), spec_.seed, uint64_t(record) | kStream,
                                       stored);
                        if (space_.domain == FeatureDomain::non_negative)
                          for (float& v : stored) v = std::max(v, 0.0f);
                      });
}

}  // namespace advf
