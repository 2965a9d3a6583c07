#include "advface/protections/protection.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "tensor/hash.h"
#include "tensor/io/input_file.h"

namespace advf {

std::string ProtectionInput::why_no_network() const {
  return space.moved ? "but " + what + " are no longer its features, once another protection has moved them"
                     : "name its card with --recogniser";
}

Tensor Protection::unlock(const Tensor&, std::span<const int64_t>) const {
  fail("the protection ", applied().name, " has no key, with which it could be undone");
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

std::string idle_by_noise(const std::string& setting, double length) {
  if (length >= kLostInRounding) return "";
  std::ostringstream said;
  said << setting << " is " << length;
  if (length > 0) said << ", which is lost in the rounding of what is stored";
  return said.str();
}

std::string idle_by_bound(const std::optional<double>& keep_recognition) {
  if (!keep_recognition || *keep_recognition > 1 || std::acos(*keep_recognition) >= kLostInRounding)
    return "";
  return "keep-recognition is 1, which leaves no room for noise";
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

void check_domain_known(const ProtectionInput& input, const std::string& protection) {
  if (!input.domain_known())
    throw WrongCall("the protection " + protection + " must know where " + input.what + " live (" +
                    input.why_domain_unknown + "): " + input.why_no_network());
}

void check_takes_maps(const Shape& row, const std::string& protection, const std::string& what) {
  check(row.rank() == 3, "the protection ", protection, " takes maps of channels, but ", what,
        " are vectors of shape ", row, "; cut the recogniser at a map with --cut");
}

Tensor each_row(const Tensor& features, std::span<const int64_t> records, const FeatureSpace& space,
                const Context* context, const FillRecord& fill) {
  const Tensor host = features.on_host();
  check(host.shape() == with_rows(int64_t(records.size()), space.row), "features of shape ", host.shape(),
        " for ", records.size(), " records of shape ", space.row);
  check_records(host, records, space.domain);
  const size_t d = size_t(space.row.numel());
  std::vector<float> values(records.size() * d);
  for (size_t i = 0; i < records.size(); ++i) {
    if (context) context->check_stop();
    fill(records[i], {host.data<float>() + i * d, d}, std::span(values).subspan(i * d, d));
  }
  const BackendScope on_host(host_backend());
  return Tensor::from(values, host.shape());
}

ProtectedRows protect_each(const Tensor& features, std::span<const int64_t> records,
                           const FeatureSpace& space, const Context& context, const std::string& advice,
                           const FillRecord& fill) {
  ProtectedRows result;
  result.features = each_row(features, records, space, &context,
                             [&](int64_t record, std::span<const float> feature, std::span<float> stored) {
                               fill(record, feature, stored);
                               result.reports.push_back(report_of(record, feature, stored));
                               check_moved(result.reports.back(), feature, advice);
                             });
  return result;
}

void check_moved(const RecordReport& report, std::span<const float> feature, const std::string& advice) {
  constexpr double kNothing = 5e-7;  // of the feature's length: rounding
  check(report.noise_l2 > kNothing * norm(feature), "record ", report.record, ": its noise is nothing (norm ",
        report.noise_l2, "), so it is not protected; ", advice);
}

}  // namespace advf
