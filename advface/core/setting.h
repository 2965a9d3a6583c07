// Settings by name. Whoever has settings (a protection, an attacker, a loss) lists them once; from the list
// come the options of the programs, the values that stand in files, and the reading of both.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "nn/state_dict.h"
#include "tensor/check.h"

namespace advf {

// The values of an enumeration with their names on the command line and in files.
template <class E>
struct Choice {
  E value;
  const char* name;
};
template <class E>
const std::vector<Choice<E>>& choices();
template <class E>
const char* name_of(E value) {
  for (const Choice<E>& c : choices<E>())
    if (c.value == value) return c.name;
  return "";
}

// The option of a setting: "--step-size" for "step_size".
std::string option_name(const std::string& setting);

// One setting, bound to where it is kept; valid as long as that.
struct Setting {
  enum class Source {
    option,  // an option of its own, with which it can be chosen
    seed,    // the seed that a program has for all
    file,    // a file, or several; of it the fingerprint counts, not the name
    derived  // follows from a file: it stands in what is written, and cannot be chosen
  };
  std::string name;  // as the key of a file: "step_size"
  std::string help;
  Source source = Source::option;
  std::function<void(const std::string& text)> read;  // throws Error naming the setting and the text
  std::function<std::string()> json;  // the value as JSON has it; empty: not set. Not for files
  std::vector<std::string> choices;   // the texts that are taken, where they are few
  bool repeats = false;               // each text is one more, not another one
  // Whether it says anything, as the others are now; null: always. Where it does not it stands in no file.
  std::function<bool()> applies = {};
  std::string only_with = {};  // for messages: what it goes with, "--mechanism gaussian"
  std::function<std::vector<std::string>()> paths = {};  // of a file setting: the files it names now
  bool word = false;                                     // as JSON has it a string, not a number
  bool key = false;                                      // of a file setting: the file holds a key
  std::string range = {};  // of a number, for people: "between 0 and 8"; read() refuses others

  std::string option() const { return option_name(name); }  // "--step-size"
  std::string text() const;                                 // the value as read() takes it; empty: not set
};
using Settings = std::vector<Setting>;

// What a number may be at most and at least. Every number states it, so that one that nothing can be computed
// with (1e308) is told where it is read, not hours later by whoever divides by it.
template <class T>
struct Bounds {
  T least, most;
  bool above = false;  // `least` itself may not be
};

// What is bound must outlive the setting.
Setting number_setting(const std::string& name, double& value, const Bounds<double>& bounds,
                       const std::string& help);
Setting number_setting(const std::string& name, std::optional<double>& value, const Bounds<double>& bounds,
                       const std::string& help);
Setting whole_setting(const std::string& name, int64_t& value, const Bounds<int64_t>& bounds,
                      const std::string& help);
Setting whole_setting(const std::string& name, std::optional<int>& value, const Bounds<int64_t>& bounds,
                      const std::string& help);
Setting text_setting(const std::string& name, std::string& value, const std::string& help);  // any text
Setting seed_setting(uint64_t& value);
Setting file_setting(const std::string& name, std::string& path, const std::string& help);
Setting key_setting(const std::string& name, std::string& path, const std::string& help);
Setting files_setting(const std::string& name, std::vector<std::string>& paths, const std::string& help);
template <class E>
Setting choice_setting(const std::string& name, E& value, const std::string& help) {
  Setting s{name, help, Setting::Source::option, {}, {}, {}, false};
  for (const Choice<E>& c : choices<E>()) s.choices.push_back(c.name);
  s.word = true;
  s.read = [name, &value](const std::string& text) {
    std::string known;
    for (const Choice<E>& c : choices<E>()) {
      if (text == c.name) {
        value = c.value;
        return;
      }
      known += (known.empty() ? "" : ", ") + std::string(c.name);
    }
    fail(name, " is \"", text, "\", none of ", known);
  };
  s.json = [&value] { return "\"" + std::string(name_of(value)) + "\""; };
  return s;
}
Setting derived(Setting setting);  // the same, but following from a file
// The same, but chosen only where `applies` holds, which is with `only_with`; elsewhere it is refused.
Setting going_with(const std::string& only_with, std::function<bool()> applies, Setting setting);
// The same, but left out of files where it has its usual value, because older files do not have it.
Setting younger(std::function<bool()> has_another_value, Setting setting);
// Throws Error that begins with `name` where the setting was given but says nothing.
void check_applies(const Setting& setting, const std::string& name);

// The settings that stand in files, as JSON has them, by name.
Metadata values_of(const Settings& settings);
// Reads them. Throws Error that begins with `source` for one that is missing, unless it need not be set, and
// for one that is not known.
void read_values(const Settings& settings, const Metadata& values, const std::string& source);

// The setting of this name with that source; null where there is none.
const Setting* find_setting(const Settings& settings, const std::string& name, Setting::Source source);
void set_seed(const Settings& settings, uint64_t seed);

// What a message says behind a name that is not known: ", did you mean noise?; there are advface, noise". The
// question only where a known name is near.
std::string known_names(const std::string& given, const std::vector<std::string>& known);
// Of the rows of a registry.
template <class Rows>
std::string known_names_of(const std::string& given, const Rows& rows) {
  std::vector<std::string> names;
  for (const auto& row : rows) names.push_back(row.name);
  return known_names(given, names);
}

}  // namespace advf
