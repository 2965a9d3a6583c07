#include "advface/protections/ascent/advface_protection.h"

#include <filesystem>
#include <nlohmann/json.hpp>

namespace advf {

namespace {

bool same_file(const std::string& a, const std::string& b) {
  std::error_code none;
  return a == b || std::filesystem::equivalent(a, b, none);
}

}  // namespace

std::string AdvFaceSpec::alone_because() const { return ascent.keep_recognition ? kBoundIsToRaw : ""; }

Settings AdvFaceSpec::settings() {
  Settings list = ascent.list();
  list.insert(list.begin(), files_setting("shadow", shadows,
                                          "protect the features with this shadow decoder; several shadows "
                                          "make an ensemble"));
  return list;
}

void AdvFaceSpec::check_complete() const {
  check(!shadows.empty(), "the protection advface needs --shadow FILE");
  check(ascent.epsilon > 0, "--epsilon 0 protects nothing");
  for (size_t i = 0; i < shadows.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      check(!same_file(shadows[i], shadows[j]), "--shadow names ", shadows[i], " twice");
}

// Numbers that follow from others are written as they are used.
Metadata AdvFaceSpec::values() const {
  Metadata values = ProtectionSpec::values();
  values["steps"] = std::to_string(ascent.effective_steps());
  values["step_size"] = nlohmann::json(ascent.effective_step_size()).dump();
  return values;
}

std::unique_ptr<Protection> AdvFaceSpec::make(const ProtectionInput& input) const {
  return std::make_unique<AdvFaceProtection>(*this, input);
}

AdvFaceProtection::AdvFaceProtection(const AdvFaceSpec& spec, const ProtectionInput& input)
    : spec_(spec), recogniser_(input.network), moved_(input.space.moved) {
  for (const std::string& path : spec.shadows) {
    shadows_.push_back(Decoder::load(path));
    shadows_.back()->check_fits(input.space.row, input.recogniser, input.cut, input.what);
    fingerprints_ += (fingerprints_.empty() ? "" : " ") + file_fingerprint(path);
  }
  const bool embedding = info().domain == FeatureDomain::sphere;
  if (!recogniser_ && spec_.ascent.needs_recogniser(embedding))
    throw WrongCall(spec_.ascent.summary() + " needs the recogniser: " + input.why_no_network());
  ascent_networks().check_fit(spec_.ascent);
}

AppliedProtection AdvFaceProtection::applied() const {
  return {"advface", spec_.values(), {{"shadow", fingerprints_}}};
}

int AdvFaceProtection::photograph_size() const {
  return spec_.ascent.objective == Objective::original ? info().spec.image_size : 0;
}

Guarantee AdvFaceProtection::guarantee() const {
  Guarantee proved;
  proved.largest_angle = spec_.ascent.largest_angle(info().spec.feature, info().domain);
  return proved;
}

void AdvFaceProtection::check_never_saw(const std::vector<std::string>& identities) const {
  for (const auto& shadow : shadows_) shadow->check_never_saw(identities);
}

void AdvFaceProtection::look_at(int64_t rows, const ReadRows& read) {
  if (spec_.ascent.batch_norm != BatchNormMode::recalibrated) return;
  for (const auto& shadow : shadows_) recalibrate(*shadow, rows, read);
}

ProtectedRows AdvFaceProtection::apply(const Tensor& features, std::span<const int64_t> records,
                                       const Tensor& photographs, const Context& context) {
  if (!ascent_) ascent_.emplace(ascent_networks(), spec_.ascent);
  return ascent_->protect(features, records, photographs, context);
}

std::vector<const Provenance*> AdvFaceProtection::networks() const {
  std::vector<const Provenance*> list;
  for (const auto& shadow : shadows_) list.push_back(&shadow->info());
  return list;
}

AscentNetworks AdvFaceProtection::ascent_networks() const {
  std::vector<const Decoder*> list;
  for (const auto& shadow : shadows_) list.push_back(shadow.get());
  return {list, recogniser_};
}

}  // namespace advf
