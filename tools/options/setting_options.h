// Options of a program from a list of settings (advface/core/setting.h).
#pragma once
#include <functional>
#include <map>
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

// Reads it. The message of an Error names the setting as whoever gave it did: "--noise-length" for an option,
// "noise-length" for the key of a file that has options without dashes.
void read_as(const Setting& setting, const std::string& given_as, const std::string& text);

// Options whose values are read later, once it is known whose they are; their texts go to `given` by the
// setting's name. An option that is there already is left.
void add_texts(CLI::App& app, const Settings& settings, const std::string& group,
               std::map<std::string, std::string>& given);
// Reads them. Throws Error for one that is no setting of `whose`.
void read_texts(const Settings& settings, const std::map<std::string, std::string>& given,
                const std::string& whose);

nlohmann::json json_of(const Metadata& values);

}  // namespace advf::tools
