#include "advface/protections/noise_protection.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "advface/protections/random_noise.h"

namespace advf {
namespace {

// Beside that of the ascent's start and that of the noise of equal norm which everything is compared with.
constexpr uint64_t kStream = uint64_t(3) << 62;

}  // namespace

Settings NoiseSpec::settings() {
  return {number_setting("noise_length", length,
                         "length of the noise over that of the feature; 2 turns a unit vector round"),
          seed_setting(seed)};
}

void NoiseSpec::check_valid() const {
  check(std::isfinite(length) && length > 0 && length <= 2,
        "the noise's length must lie above 0 and not above 2, not ", length);
}

std::string NoiseSpec::summary() const {
  std::ostringstream out;
  out.precision(4);
  out << "length " << length;
  return out.str();
}

std::unique_ptr<Protection> NoiseSpec::make(const ProtectionInput& input) const {
  if (!input.domain_known)
    throw WrongCall("the protection noise must know where " + input.what +
                    " live: " + input.why_no_network());
  check(input.space.domain != FeatureDomain::sphere || input.space.row.numel() > 1, input.what,
        ": a unit vector of one value cannot be turned");
  return std::make_unique<NoiseProtection>(*this, input.space);
}

ProtectedRows NoiseProtection::apply(const Tensor& features, std::span<const int64_t> records,
                                     const Tensor& /*photographs*/, const Context& context) {
  const Tensor host = features.on_host();
  check(features.dim(0) == int64_t(records.size()), "noise: ", features.dim(0), " features with ",
        records.size(), " numbers");
  check_records(host, records, space_.domain);
  const size_t d = size_t(space_.row.numel());
  const bool on_sphere = space_.domain == FeatureDomain::sphere;
  std::vector<float> values(records.size() * d);
  ProtectedRows result;
  for (size_t i = 0; i < records.size(); ++i) {
    context.check_stop();
    const std::span<const float> feature{host.data<float>() + i * d, d};
    const std::span<float> stored = std::span(values).subspan(i * d, d);
    move_at_random(feature, on_sphere, 1 - spec_.length * spec_.length / 2, spec_.length * norm(feature),
                   spec_.seed, uint64_t(records[i]) | kStream, stored);
    if (space_.domain == FeatureDomain::non_negative)
      for (float& v : stored) v = std::max(v, 0.0f);
    result.reports.push_back(report_of(records[i], feature, stored));
    check_moved(result.reports.back(), feature, "give a larger --noise-length");
  }
  const BackendScope on_host(host_backend());
  result.features = Tensor::from(values, features.shape());
  return result;
}

}  // namespace advf
