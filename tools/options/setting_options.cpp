#include "tools/options/setting_options.h"

#include <algorithm>

namespace advf::tools {

namespace {

// What stands behind the option's name in the help.
std::string type_of(const Setting& setting) {
  if (setting.source == Setting::Source::file) return "FILE";
  std::string list;
  for (const std::string& choice : setting.choices) list += (list.empty() ? "" : ",") + choice;
  return !list.empty() ? "{" + list + "}" : setting.word ? "TEXT" : "NUMBER";
}

}  // namespace

CLI::Option* add_setting(CLI::App& app, const Setting& setting, const std::string& group,
                         const std::function<void(const std::string& text)>& take) {
  const auto read = [setting, take](const std::vector<std::string>& texts) {
    for (const std::string& text : texts) {
      try {
        read_as(setting, setting.option(), text);
      } catch (const Error& e) {
        throw CLI::ValidationError(e.what());
      }
      take(text);
    }
  };
  CLI::Option* option =
      app.add_option_function<std::vector<std::string>>(setting.option(), read, setting.help)
          ->group(group)
          ->allow_extra_args(false)
          ->type_name(type_of(setting));
  if (!setting.repeats) option->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::Throw);
  if (const std::string text = setting.text(); !text.empty()) option->default_str(text);
  return option;
}

void add_settings(CLI::App& app, const Settings& settings, const std::string& group,
                  const std::vector<std::string>& without) {
  for (const Setting& s : settings)
    if ((s.source == Setting::Source::option || s.source == Setting::Source::file) &&
        std::find(without.begin(), without.end(), s.name) == without.end())
      add_setting(app, s, group, [](const std::string&) {});
}

void read_as(const Setting& setting, const std::string& given_as, const std::string& text) {
  try {
    setting.read(text);
  } catch (const Error& e) {
    const std::string said = e.what();
    fail(said.starts_with(setting.name) ? given_as + said.substr(setting.name.size()) : said);
  }
}

void add_texts(CLI::App& app, const Settings& settings, const std::string& group,
               std::map<std::string, std::string>& given) {
  for (const Setting& s : settings) {
    if (app.get_option_no_throw(s.option())) continue;
    // What it is bound to may not outlive this call.
    Setting text = s;
    text.read = [](const std::string&) {};
    text.json = {};
    const std::string usual = s.text(), name = s.name;
    CLI::Option* option =
        add_setting(app, text, group, [&given, name](const std::string& value) { given[name] = value; });
    if (!usual.empty()) option->default_str(usual);
  }
}

void read_texts(const Settings& settings, const std::map<std::string, std::string>& given,
                const std::string& whose) {
  for (const auto& [name, text] : given) {
    const auto s = std::find_if(settings.begin(), settings.end(),
                                [&n = name](const Setting& setting) { return setting.name == n; });
    check(s != settings.end(), option_name(name), " is no option of ", whose);
    read_as(*s, s->option(), text);
  }
}

nlohmann::json json_of(const Metadata& values) {
  nlohmann::json json = nlohmann::json::object();
  for (const auto& [name, text] : values) json[name] = nlohmann::json::parse(text);
  return json;
}

}  // namespace advf::tools
