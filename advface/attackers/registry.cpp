#include "advface/attackers/registry.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <sstream>

#include "advface/attackers/decoder_attacker.h"
#include "advface/attackers/inversion_attacker.h"
#include "advface/attackers/oracle_attacker.h"
#include "tensor/io/safetensors.h"

namespace advf {

const std::vector<AttackerKind>& attackers() {
  static const std::vector<AttackerKind> rows{
      {"decoder", "a network trained to turn features into faces", "advface-decoder-1", load_decoder_attacker,
       nullptr},
      {"inversion", "trains nothing: an image is changed until the recogniser finds the feature in it", "",
       nullptr, nullptr, [] { return std::unique_ptr<AttackerSpec>(std::make_unique<InversionSpec>()); }},
      {"oracle", "has not the feature: shows images to the matching side and goes where the score rises", "",
       nullptr, nullptr, [] { return std::unique_ptr<AttackerSpec>(std::make_unique<OracleSpec>()); }},
  };
  return rows;
}

std::unique_ptr<Attacker> load_attacker(const std::string& path) {
  const Metadata metadata = load_safetensors(path).metadata;
  const auto format = metadata.find("format");
  std::string known;
  for (const AttackerKind& kind : attackers()) {
    if (!kind.load) continue;
    if (format != metadata.end() && format->second == kind.format) return kind.load(path);
    known += (known.empty() ? "" : ", ") + kind.format;
  }
  fail(path, ": not an attacker: its metadata have ",
       format == metadata.end() ? "no \"format\"" : "the \"format\" \"" + format->second + "\"",
       "; known are ", known);
}

namespace {

// The row of an attacker without a file that the text begins with; null where it names none.
const AttackerKind* named_kind(const std::string& text) {
  const std::string name = text.substr(0, text.find(':'));
  for (const AttackerKind& kind : attackers())
    if (kind.spec && kind.name == name) return &kind;
  return nullptr;
}

std::vector<std::string> kinds_without_file() {
  std::vector<std::string> names;
  for (const AttackerKind& kind : attackers())
    if (kind.spec) names.push_back(kind.name);
  return names;
}

// Whether the text was meant for KIND or KIND:SETTING=VALUE, though no kind has this name: a word that is no
// file, alone or with settings.
bool may_be_kind(const std::string& text) {
  const size_t end = text.find(':');
  const std::string word = text.substr(0, end);
  std::error_code none;
  return !word.empty() && word.find_first_of("/.=") == std::string::npos &&
         (end == std::string::npos || text.find('=', end) != std::string::npos || end + 1 == text.size()) &&
         !std::filesystem::exists(text, none);
}

bool can_be_given(const Setting& setting) {
  return setting.source == Setting::Source::option || setting.source == Setting::Source::file;
}

}  // namespace

std::unique_ptr<AttackerSpec> named_attacker(const std::string& text, uint64_t seed) {
  const AttackerKind* kind = named_kind(text);
  if (!kind) {
    check(!may_be_kind(text), "there is no attacker \"", text.substr(0, text.find(':')), "\"",
          known_names(text.substr(0, text.find(':')), kinds_without_file()), ", and no file \"", text, "\"");
    return nullptr;
  }
  std::unique_ptr<AttackerSpec> spec = kind->spec();
  const Settings settings = spec->settings();
  set_seed(settings, seed);
  std::vector<std::string> known;
  for (const Setting& s : settings)
    if (can_be_given(s)) known.push_back(s.name);
  std::set<std::string> given;
  const size_t colon = text.find(':');
  std::stringstream list(colon == std::string::npos ? "" : text.substr(colon + 1));
  for (std::string entry; std::getline(list, entry, ',');) {
    const size_t equals = entry.find('=');
    check(equals != std::string::npos, "\"", text, "\": \"", entry, "\" is no SETTING=VALUE");
    const std::string key = entry.substr(0, equals);
    const auto s = std::find_if(settings.begin(), settings.end(),
                                [&](const Setting& one) { return one.name == key && can_be_given(one); });
    check(s != settings.end(), "\"", text, "\": ", kind->name, " has no setting \"", key, "\"",
          known_names(key, known));
    check(given.insert(key).second, "\"", text, "\": gives ", key, " twice");
    s->read(entry.substr(equals + 1));
  }
  spec->check_valid();
  return spec;
}

AttackerText split_attacker(const std::string& text) {
  const size_t equals = text.find('=');
  // The first "=" of inversion:steps=60 belongs to a setting, also where the kind is not known. But NAME may
  // hold a colon where a file or a kind stands behind it.
  std::error_code none;
  const auto named_behind = [&] {
    const std::string what = text.substr(equals + 1);
    return named_kind(what) != nullptr || std::filesystem::exists(what, none);
  };
  if (equals == std::string::npos || named_kind(text)) return {"", text};
  if (text.find(':') < equals && may_be_kind(text) && !named_behind()) return {"", text};
  return {text.substr(0, equals), text.substr(equals + 1)};
}

}  // namespace advf
