#include "advface/core/setting.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>

#include "advface/core/json_text.h"

namespace advf {
namespace {

using nlohmann::json;

template <class T>
T number_of(const std::string& name, const std::string& text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  check(error == std::errc() && end == text.data() + text.size(), name, " is \"", text, "\", which is no ",
        std::is_integral_v<T> ? "whole number in range" : "number");
  return value;
}

template <class T>
std::string range_of(const Bounds<T>& b) {
  std::ostringstream text;
  text << (b.above ? "above " : "between ") << b.least << (b.above ? " and not above " : " and ") << b.most;
  return text.str();
}

// T: as it is read; the bounds' own type else.
template <class T, class Slot, class B>
Setting number_like(const std::string& name, Slot& value, const Bounds<B>& bounds, const std::string& help) {
  Setting s{name, help, Setting::Source::option, {}, {}, {}, false};
  s.range = range_of(bounds);
  s.read = [name, &value, bounds, range = s.range](const std::string& text) {
    const T number = number_of<T>(name, text);
    // So that what is no number (nan) is refused as well.
    const bool within =
        B(number) >= bounds.least && B(number) <= bounds.most && !(bounds.above && B(number) == bounds.least);
    check(within, name, " is ", text, ", and must lie ", range);
    value = number;
  };
  return s;
}

const std::string& file_of(const std::string& name, const std::string& text) {
  check(!text.empty(), name, " names no file");
  return text;
}

// Edits (one letter changed, put in or left out) between two words.
size_t edits(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t(0));
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t corner = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = corner + (a[i - 1] == b[j - 1] ? 0 : 1);
      corner = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string option_name(const std::string& setting) {
  std::string text = "--" + setting;
  std::replace(text.begin(), text.end(), '_', '-');
  return text;
}

std::string Setting::text() const {
  if (!json) return "";
  const std::string value = json();
  return word && !value.empty() ? nlohmann::json::parse(value).get<std::string>() : value;
}

Setting number_setting(const std::string& name, double& value, const Bounds<double>& bounds,
                       const std::string& help) {
  Setting s = number_like<double>(name, value, bounds, help);
  s.json = [&value] { return json(value).dump(); };
  return s;
}
Setting number_setting(const std::string& name, std::optional<double>& value, const Bounds<double>& bounds,
                       const std::string& help) {
  Setting s = number_like<double>(name, value, bounds, help);
  s.json = [&value] { return value ? json(*value).dump() : ""; };
  return s;
}
Setting whole_setting(const std::string& name, int64_t& value, const Bounds<int64_t>& bounds,
                      const std::string& help) {
  Setting s = number_like<int64_t>(name, value, bounds, help);
  s.json = [&value] { return std::to_string(value); };
  return s;
}
Setting whole_setting(const std::string& name, std::optional<int>& value, const Bounds<int64_t>& bounds,
                      const std::string& help) {
  Setting s = number_like<int>(name, value, bounds, help);
  s.json = [&value] { return value ? std::to_string(*value) : ""; };
  return s;
}

Setting text_setting(const std::string& name, std::string& value, const std::string& help) {
  Setting s{name, help, Setting::Source::option, [&value](const std::string& text) { value = text; }, {},
            {},   false};
  s.json = [&value] { return value.empty() ? "" : json(value).dump(); };
  s.word = true;
  return s;
}

Setting seed_setting(uint64_t& value) {
  Setting s = number_like<uint64_t>("seed", value, Bounds<uint64_t>{0, UINT64_MAX}, "of what is random");
  s.source = Setting::Source::seed;
  s.json = [&value] { return std::to_string(value); };
  return s;
}

Setting file_setting(const std::string& name, std::string& path, const std::string& help) {
  Setting s{name, help, Setting::Source::file, {}, {}, {}, false};
  s.read = [name, &path](const std::string& text) { path = file_of(name, text); };
  s.paths = [&path] { return path.empty() ? std::vector<std::string>{} : std::vector<std::string>{path}; };
  return s;
}
Setting key_setting(const std::string& name, std::string& path, const std::string& help) {
  Setting s = file_setting(name, path, help);
  s.key = true;
  return s;
}

Setting files_setting(const std::string& name, std::vector<std::string>& paths, const std::string& help) {
  Setting s{name, help, Setting::Source::file, {}, {}, {}, true};
  s.read = [name, &paths](const std::string& text) { paths.push_back(file_of(name, text)); };
  s.paths = [&paths] { return paths; };
  return s;
}

Setting derived(Setting setting) {
  setting.source = Setting::Source::derived;
  return setting;
}

Setting going_with(const std::string& only_with, std::function<bool()> applies, Setting setting) {
  setting.applies = std::move(applies);
  setting.only_with = only_with;
  return setting;
}

Setting younger(std::function<bool()> has_another_value, Setting setting) {
  setting.applies = std::move(has_another_value);
  return setting;
}

void check_applies(const Setting& setting, const std::string& name) {
  check(setting.only_with.empty() || setting.applies(), name, " goes with ", setting.only_with,
        " alone and says nothing here");
}

Metadata values_of(const Settings& settings) {
  Metadata values;
  for (const Setting& s : settings)
    if (s.source != Setting::Source::file && (!s.applies || s.applies()))
      if (const std::string value = s.json(); !value.empty()) values[s.name] = value;
  return values;
}

void read_values(const Settings& settings, const Metadata& values, const std::string& source) {
  for (const auto& [name, text] : values) {
    const auto s = std::find_if(settings.begin(), settings.end(), [&n = name](const Setting& candidate) {
      return candidate.name == n && candidate.source != Setting::Source::file;
    });
    check(s != settings.end(), source, ": the setting ", name, " is not known here");
    const json value = json_or_discarded(text);
    // A number is no word, and the other way round.
    const bool word = s->word;
    check(word ? value.is_string() : value.is_number(), source, ": no proper \"", name, "\"");
    try {
      s->read(word ? value.get<std::string>() : text);
    } catch (const Error& e) {
      fail(source, ": ", e.what());
    }
  }
  for (const Setting& s : settings)
    if (values.contains(s.name)) check_applies(s, source + ": the setting " + s.name);
  const Metadata now = values_of(settings);
  for (const auto& [name, unused] : now)
    check(values.contains(name), source, ": has no proper \"", name, "\"");
}

const Setting* find_setting(const Settings& settings, const std::string& name, Setting::Source source) {
  for (const Setting& s : settings)
    if (s.name == name && s.source == source) return &s;
  return nullptr;
}

void set_seed(const Settings& settings, uint64_t seed) {
  if (const Setting* s = find_setting(settings, "seed", Setting::Source::seed)) s->read(std::to_string(seed));
}

std::string known_names(const std::string& given, const std::vector<std::string>& known) {
  const std::string* best = nullptr;
  size_t least = std::max<size_t>(given.size() / 2, 2) + 1;
  std::string list;
  for (const std::string& name : known) {
    list += (list.empty() ? "" : ", ") + name;
    if (const size_t e = edits(given, name); e < least) {
      least = e;
      best = &name;
    }
  }
  // Or the one that holds what was given as a part of it: noise-length for length.
  if (!best && !given.empty()) {
    const auto holds = [&](const std::string& name) {
      return name.ends_with("-" + given) || name.ends_with("_" + given) || name.starts_with(given + "-") ||
             name.starts_with(given + "_");
    };
    const auto first = std::find_if(known.begin(), known.end(), holds);
    if (first != known.end() && std::none_of(first + 1, known.end(), holds)) best = &*first;
  }
  return (best ? ", did you mean " + *best + "?" : std::string()) + "; there are " + list;
}

}  // namespace advf
