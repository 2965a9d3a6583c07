#include "tools/options/protection_options.h"

#include <algorithm>
#include <cmath>

#include "tools/options/setting_options.h"

namespace advf::tools {
namespace {

// Forms of the command line that were, with the ones that are.
CLI::Validator no_longer(const std::string& text, const std::string& now) {
  return CLI::Validator([text, now](std::string& given) { return given == text ? now : std::string(); }, "");
}

}  // namespace

void ProtectionOptions::add_to(CLI::App& app, const std::string& group, bool required) {
  required_ = required;
  std::string help = "protect the features; repeated: one after the other, in this order.";
  for (const ProtectionKind& kind : protections()) help += " " + kind.name + ": " + kind.help + ".";
  for (const ProtectionPreset& preset : presets()) help += " " + preset.name + ": " + preset.help + ".";
  app.add_option("--protect", request_.names, help + " Without it --shadow alone means advface")
      ->group(group)
      ->allow_extra_args(false)
      ->type_name("NAME");
  for (const ProtectionKind& kind : protections()) {
    usual_.push_back(kind.spec());
    for (const Setting& s : usual_.back()->settings()) {
      if (!is_chosen(s) || app.get_option_no_throw(s.option())) continue;
      const std::string name = s.name;
      add_setting(app, s, group,
                  [this, name](const std::string& text) { request_.settings[name].push_back(text); });
      if (name == "method")
        app.get_option(s.option())
            ->check(no_longer("generator",
                              "the generator is a protection of its own: --protect generator "
                              "--generator FILE, without --shadow"));
    }
  }
}

void ProtectionOptions::allow_none(CLI::App& app) {
  CLI::Option* option = app.get_option("--protect");
  option->description(option->get_description() + ". none: raw features are stored");
  app.parse_complete_callback([this] {
    none_ = std::ranges::count(request_.names, "none") > 0;
    if (none_ && (request_.names.size() > 1 || !request_.settings.empty()))
      throw CLI::ValidationError("--protect none", "takes no other protection, and no setting of one");
    if (none_) request_.names.clear();
  });
}

ProtectionSpecs ProtectionOptions::specs_with(uint64_t seed, const std::vector<std::string>& changed) const {
  ProtectionRequest request = request_;
  as_usage([&] {
    std::vector<std::string> known{"seed"};
    for (const ProtectionPreset::Link& link : request.links()) {
      const auto spec = protection_kind(link.protection, "--protect").spec();
      for (const Setting& s : spec->settings())
        if (is_chosen(s)) known.push_back(s.option().substr(2));
    }
    std::map<std::string, std::vector<std::string>> others;
    for (const std::string& text : changed) {
      const size_t equals = text.find('=');
      check(equals != std::string::npos && equals > 0 && equals + 1 < text.size(),
            "--other takes SETTING=VALUE, not \"", text, "\"");
      const std::string name = text.substr(0, equals), value = text.substr(equals + 1);
      check(std::find(known.begin(), known.end(), name) != known.end(), "--other ", text,
            ": no protection here has the setting ", name, known_names(name, known));
      if (name == "seed") {
        int64_t number = 0;
        whole_setting("--other seed", number, {0, INT64_MAX}, "").read(value);
        seed = uint64_t(number);
        continue;
      }
      std::string setting = name;
      std::replace(setting.begin(), setting.end(), '-', '_');
      others[setting].push_back(value);
    }
    // A key comes from a file or over a descriptor: the one takes the other's place.
    if (others.contains("key")) request.settings.erase("key_fd");
    if (others.contains("key_fd")) request.settings.erase("key");
    for (auto& [name, texts] : others) request.settings[name] = texts;
  });
  return specs(seed, request);
}

ProtectionSpecs ProtectionOptions::specs(uint64_t seed, const ProtectionRequest& request) const {
  if (required_ && !request.asked() && request.settings.empty())
    throw WrongCall("say how to protect: --protect NAME, or --shadow FILE, which alone means advface");
  return request.specs(seed);
}

std::vector<std::string> ProtectionOptions::names() const {
  std::vector<std::string> names;
  for (const ProtectionPreset::Link& link : request_.links()) names.push_back(link.protection);
  return names;
}

nlohmann::json ProtectionOptions::files() const {
  nlohmann::json json = nlohmann::json::object();
  for (const auto& spec : usual_)
    for (const Setting& s : spec->settings())
      if (const auto given = request_.settings.find(s.name);
          s.source == Setting::Source::file && given != request_.settings.end())
        json[s.repeats ? s.name + "s" : s.name] =
            s.repeats ? nlohmann::json(given->second) : nlohmann::json(given->second[0]);
  return json;
}

nlohmann::json to_json(const ProtectionId& id) { return nlohmann::json::parse(id.to_json()); }

nlohmann::json settings_json(const ProtectionId& id) {
  return id.applied.size() == 1 ? json_of(id.applied[0].settings) : nlohmann::json::object();
}

}  // namespace advf::tools
