#include "advface/protections/ascent/advface_protection.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "advface/networks/ascent_shadow.h"
#include "advface/networks/attribute_probe.h"
#include "advface/protections/random_noise.h"

namespace advf {

namespace {

bool same_file(const std::string& a, const std::string& b) {
  std::error_code none;
  return a == b || std::filesystem::equivalent(a, b, none);
}

}  // namespace

std::string AdvFaceSpec::alone_because() const { return ascent.keep_recognition ? kBoundIsToRaw : ""; }

std::string AdvFaceSpec::idle_because() const {
  const std::string noise = idle_by_noise("epsilon", ascent.epsilon);
  return noise.empty() ? idle_by_bound(ascent.keep_recognition) : noise;
}

Settings AdvFaceSpec::settings() {
  Settings list = ascent.list();
  list.insert(list.begin(),
              files_setting("shadow", shadows,
                            "protect the features with this shadow: a decoder; for the objective "
                            "linkage a linkage network, for attribute a probe, for inversion what fit "
                            "advface has written; several make an "
                            "ensemble"));
  list.push_back(going_with(
      "--start secret", [this] { return ascent.start == Start::secret; },
      key_setting("start_key", start_key,
                  "derive the secret start from this key (default: it is drawn for "
                  "the run, and forgotten)")));
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

void AdvFaceProtection::load(const std::string& path) {
  if (spec_.ascent.objective == Objective::linkage)
    of_features_.push_back(
        std::make_unique<LinkageShadow>(Reader::load(path, ReaderRole::linkage), recogniser_));
  else if (spec_.ascent.objective == Objective::attribute)
    of_features_.push_back(std::make_unique<AttributeShadow>(AttributeProbe::load(path)));
  else if (spec_.ascent.objective == Objective::inversion)
    of_features_.push_back(std::make_unique<AscentShadow>(FirstStep::load(path)));
  else
    shadows_.push_back(Decoder::load(path));
  fingerprints_ += (fingerprints_.empty() ? "" : " ") + file_fingerprint(path);
}

AdvFaceProtection::AdvFaceProtection(const AdvFaceSpec& spec, const ProtectionInput& input)
    : spec_(spec), recogniser_(input.network), moved_(input.space.moved) {
  for (const std::string& path : spec.shadows) {
    load(path);
    const AscentNetworks networks = ascent_networks();
    networks.network(networks.count() - 1)
        .check_fits(input.space.row, input.recogniser, input.cut, input.what);
  }
  const AscentNetworks networks = ascent_networks();
  row_ = networks.feature();
  domain_ = networks.info().domain;
  if (!recogniser_ && spec_.ascent.needs_recogniser(domain_ == FeatureDomain::sphere))
    throw WrongCall(spec_.ascent.summary() + " needs the recogniser: " + input.why_no_network());
  networks.check_fit(spec_.ascent);
  if (spec_.ascent.start == Start::secret)
    spec_.ascent.seed = secret_seed(spec_.start_key, "advface-startpnt");
}

AppliedProtection AdvFaceProtection::applied() const {
  return {"advface", spec_.values(), {{"shadow", fingerprints_}}};
}

int AdvFaceProtection::photograph_size() const {
  return spec_.ascent.objective == Objective::original ? int(ascent_networks().image_size()) : 0;
}

Guarantee AdvFaceProtection::guarantee() const {
  Guarantee proved;
  proved.largest_angle = spec_.ascent.largest_angle(row_, domain_);
  return proved;
}

void AdvFaceProtection::check_never_saw(const std::vector<std::string>& identities) const {
  const AscentNetworks all = ascent_networks();
  for (size_t i = 0; i < all.count(); ++i) all.network(i).check_never_saw(identities);
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
  const AscentNetworks all = ascent_networks();
  for (size_t i = 0; i < all.count(); ++i) list.push_back(&all.network(i).provenance());
  return list;
}

AscentNetworks AdvFaceProtection::ascent_networks() const {
  if (spec_.ascent.is_of_features()) {
    std::vector<const FeatureShadow*> list;
    for (const auto& shadow : of_features_) list.push_back(shadow.get());
    return AscentNetworks::against(list, recogniser_);
  }
  std::vector<const Decoder*> list;
  for (const auto& shadow : shadows_) list.push_back(shadow.get());
  return {list, recogniser_};
}

}  // namespace advf
