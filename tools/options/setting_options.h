// Options of a program from a list of settings (advface/core/setting.h).
#pragma once
#include <functional>
#include <string>

#include "advface/core/setting.h"
#include "tools/options/cli.h"

namespace advf::tools {

// An option for the setting, with its default in the help. `take` gets each text that is given, once it has
// been read by the setting without an error.
CLI::Option* add_setting(CLI::App& app, const Setting& setting, const std::string& group,
                         const std::function<void(const std::string& text)>& take);
// All that can be chosen, read into what the settings are bound to; those in `without` have no option.
void add_settings(CLI::App& app, const Settings& settings, const std::string& group,
                  const std::vector<std::string>& without = {});

nlohmann::json json_of(const Metadata& values);

}  // namespace advf::tools
