#include "advface/protections/registry.h"

#include <algorithm>

#include "advface/protections/ascent/advface_protection.h"
#include "advface/protections/ascent/first_step_fit.h"
#include "advface/protections/attributes_protection.h"
#include "advface/protections/duet_protection.h"
#include "advface/protections/frequency_protection.h"
#include "advface/protections/generator_protection.h"
#include "advface/protections/noise_protection.h"
#include "advface/protections/projection_protection.h"
#include "advface/protections/quantise_protection.h"
#include "advface/protections/rotation_protection.h"
#include "advface/protections/shuffle_protection.h"

namespace advf {
namespace {

template <class Spec>
std::unique_ptr<ProtectionSpec> make() {
  return std::make_unique<Spec>();
}

template <class F>
std::unique_ptr<Fit> fit() {
  return std::make_unique<F>();
}

}  // namespace

const std::vector<ProtectionKind>& protections() {
  static const std::vector<ProtectionKind> rows{
      {"advface", "noise found for each record by ascent against a shadow decoder", make<AdvFaceSpec>,
       fit<FirstStepFit>},
      {"generator", "noise that a network emits in one pass", make<GeneratorSpec>, nullptr},
      {"noise", "noise in a random direction, of a given length or with a guarantee of differential privacy",
       make<NoiseSpec>, nullptr},
      {"projection", "only the directions that tell people apart are kept", make<ProjectionSpec>,
       fit<ProjectionFit>},
      {"attributes", "what labels say of a person is taken out, so that no linear classifier tells it",
       make<AttributesSpec>, fit<AttributesFit>},
      {"quantise", "every value is stored with a few bits", make<QuantiseSpec>, nullptr},
      {"rotation", "unit vectors are turned at random under a key, which lies elsewhere", make<RotationSpec>,
       nullptr},
      {"shuffle", "values, or channels of a map, in another order, drawn from the seed", make<ShuffleSpec>,
       nullptr},
      {"duet",
       "of a map the channels with the most energy are not stored (after DuetFace; a variant without "
       "retraining)",
       make<DuetSpec>, fit<DuetFit>},
      {"frequency",
       "the lowest frequencies of a map's channels are taken away (after DCTDP and PartialFace; a variant "
       "without retraining)",
       make<FrequencySpec>, nullptr},
  };
  return rows;
}

const std::vector<ProtectionPreset>& presets() {
  static const std::vector<ProtectionPreset> rows{
      {"default",
       "two locks: projection, quantise to one bit, rotation; needs --projection and --key",
       {{"projection", {}}, {"quantise", {{"bits", "1"}}}, {"rotation", {}}}},
  };
  return rows;
}

const ProtectionKind& protection_kind(const std::string& name, const std::string& source) {
  for (const ProtectionKind& kind : protections())
    if (kind.name == name) return kind;
  fail(source, ": there is no protection \"", name, "\" here", known_names_of(name, protections()));
}

std::unique_ptr<ProtectionSpec> spec_of(const AppliedProtection& applied, const std::string& source) {
  std::unique_ptr<ProtectionSpec> spec = protection_kind(applied.name, source).spec();
  read_values(spec->settings(), applied.settings, source + ": the protection " + applied.name);
  return spec;
}

void check_records_compare(const ProtectionId& id, const std::string& what) {
  for (const AppliedProtection& a : id.applied)
    check(!spec_of(a, a.name)->separates_records(), what, ": two stored records are to be compared, but ",
          a.name, " puts each into a space of its own (", id.describe(),
          "), where only a probe that went through it for that record can be compared with it");
}

bool changes_probe(const ProtectionId& id) {
  return std::any_of(id.applied.begin(), id.applied.end(),
                     [](const AppliedProtection& a) { return spec_of(a, a.name)->changes_probe(); });
}

FeatureSpace space_after(const ProtectionId& id, FeatureSpace raw) {
  for (const AppliedProtection& a : id.applied) raw = spec_of(a, a.name)->out(raw);
  return raw;
}

}  // namespace advf
