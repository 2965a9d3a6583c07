#include "advface/protections/protection_request.h"

#include <algorithm>

namespace advf {
namespace {

// The protections that have this setting, for messages.
std::string owners_of(const std::string& setting) {
  std::string list;
  for (const ProtectionKind& kind : protections()) {
    const auto spec = kind.spec();
    for (const Setting& s : spec->settings())
      if (s.name == setting && is_chosen(s)) list += (list.empty() ? "" : " and ") + kind.name;
  }
  return list;
}

// Every setting that can be chosen, once.
std::vector<std::string> known_settings() {
  std::vector<std::string> names;
  for (const ProtectionKind& kind : protections()) {
    const auto spec = kind.spec();
    for (const Setting& s : spec->settings())
      if (is_chosen(s) && std::ranges::find(names, s.name) == names.end()) names.push_back(s.name);
  }
  return names;
}

std::shared_ptr<const ProtectionSpec> spec_for(const ProtectionPreset::Link& link, uint64_t seed,
                                               const ProtectionRequest& request) {
  std::shared_ptr<ProtectionSpec> spec = protection_kind(link.protection, "--protect").spec();
  set_seed(spec->settings(), seed);
  for (const auto& [name, text] : link.settings)
    find_setting(spec->settings(), name, Setting::Source::option)->read(text);
  for (const Setting& s : spec->settings()) {
    const auto given = request.settings.find(s.name);
    if (given == request.settings.end() || !is_chosen(s)) continue;
    check(s.repeats || given->second.size() < 2, s.option(), " is given ", given->second.size(), " times");
    for (const std::string& text : given->second) s.read(text);
  }
  for (const Setting& s : spec->settings())
    if (request.settings.contains(s.name) && is_chosen(s)) check_applies(s, s.option());
  spec->check_valid();
  spec->check_complete();
  return spec;
}

}  // namespace

bool is_chosen(const Setting& setting) {
  return setting.source == Setting::Source::option || setting.source == Setting::Source::file;
}

std::vector<ProtectionPreset::Link> ProtectionRequest::links() const {
  if (names.empty() && asked()) return {{"advface", {}}};
  std::vector<ProtectionPreset::Link> links;
  for (const std::string& name : names) {
    const auto preset = std::ranges::find(presets(), name, &ProtectionPreset::name);
    if (preset == presets().end())
      links.push_back({name, {}});
    else
      links.insert(links.end(), preset->links.begin(), preset->links.end());
  }
  return links;
}

void ProtectionRequest::check_all_used() const {
  const std::vector<ProtectionPreset::Link> all = links();
  for (const auto& given : settings) {
    const std::string& setting = given.first;
    const std::string owners = owners_of(setting);
    check(!owners.empty(), "no protection has the setting ", setting, known_names(setting, known_settings()));
    const bool used = std::ranges::any_of(all, [&](const ProtectionPreset::Link& link) {
      const auto spec = protection_kind(link.protection, "--protect").spec();
      const Settings list = spec->settings();
      return std::any_of(list.begin(), list.end(),
                         [&](const Setting& s) { return s.name == setting && is_chosen(s); });
    });
    if (used) continue;
    check(!all.empty(), option_name(setting), " is an option of the protection ", owners,
          ": name it with --protect (or give --shadow, which alone means advface)");
    std::string others;
    for (const auto& link : all) others += (others.empty() ? "" : ", ") + link.protection;
    fail(option_name(setting), " is an option of the protection ", owners, ", but here protects ", others);
  }
}

ProtectionSpecs ProtectionRequest::specs(uint64_t seed) const {
  ProtectionSpecs list;
  try {
    const std::vector<ProtectionPreset::Link> all = links();
    for (const ProtectionPreset::Link& link : all) {
      protection_kind(link.protection, "--protect");
      check(std::ranges::count(all, link.protection, &ProtectionPreset::Link::protection) == 1,
            "--protect names ", link.protection, " twice; name each protection once");
    }
    check_all_used();
    for (const ProtectionPreset::Link& link : all) list.push_back(spec_for(link, seed, *this));
  } catch (const Error& e) {
    throw WrongCall(e.what());
  }
  return list;
}

}  // namespace advf
