#include "advface/protections/protection.h"

#include <algorithm>
#include <cmath>

#include "tensor/hash.h"
#include "tensor/io/input_file.h"

namespace advf {

std::string ProtectionInput::why_no_network() const {
  return space.moved ? "but " + what + " are no longer its features, once another protection has moved them"
                     : "name its card with --recogniser";
}

std::shared_ptr<const ProtectionSpec> with_setting(const ProtectionSpec& spec, const std::string& name,
                                                   const std::string& text) {
  std::unique_ptr<ProtectionSpec> changed = spec.clone();
  const Settings settings = changed->settings();
  const Setting* s = find_setting(settings, name, Setting::Source::option);
  if (!s) return nullptr;
  s->read(text);
  return changed;
}

std::string file_fingerprint(const std::string& path) {
  constexpr uint64_t kMostBytes = uint64_t(1) << 32;
  return hex(fnv1a(read_file(path, kMostBytes)));
}

void check_records(const Tensor& features, std::span<const int64_t> records, FeatureDomain domain) {
  const size_t d = size_t(features.shape().numel(1, features.shape().rank()));
  for (size_t i = 0; i < records.size(); ++i)
    check_feature({features.data<float>() + i * d, d}, domain,
                  [&] { return "record " + std::to_string(records[i]); });
}

RecordReport report_of(int64_t record, std::span<const float> feature, std::span<const float> stored) {
  RecordReport report;
  report.record = record;
  double noise = 0;
  for (size_t k = 0; k < feature.size(); ++k) {
    const double r = double(stored[k]) - double(feature[k]);
    noise += r * r;
    report.noise_linf = std::max(report.noise_linf, std::abs(r));
  }
  report.noise_l2 = std::sqrt(noise);
  report.cosine = cosine(feature, stored);
  return report;
}

void check_moved(const RecordReport& report, std::span<const float> feature, const std::string& advice) {
  constexpr double kNothing = 5e-7;  // of the feature's length: rounding
  check(report.noise_l2 > kNothing * norm(feature), "record ", report.record, ": its noise is nothing (norm ",
        report.noise_l2, "), so it is not protected; ", advice);
}

}  // namespace advf
