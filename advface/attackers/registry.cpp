#include "advface/attackers/registry.h"

#include <algorithm>
#include <sstream>

#include "advface/attackers/decoder_attacker.h"
#include "advface/attackers/inversion_attacker.h"
#include "nn/state_dict.h"
#include "tensor/io/safetensors.h"

namespace advf {

const std::vector<AttackerKind>& attackers() {
  static const std::vector<AttackerKind> rows{
      {"decoder", "a network trained to turn features into faces", "advface-decoder-1", load_decoder_attacker,
       nullptr},
      {"inversion", "trains nothing: an image is changed until the recogniser finds the feature in it", "",
       nullptr, nullptr, [] { return std::unique_ptr<AttackerSpec>(std::make_unique<InversionSpec>()); }},
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

std::unique_ptr<AttackerSpec> named_attacker(const std::string& text, uint64_t seed) {
  const size_t colon = text.find(':');
  const std::string name = text.substr(0, colon);
  const auto kind = std::find_if(attackers().begin(), attackers().end(),
                                 [&](const AttackerKind& k) { return k.spec && k.name == name; });
  if (kind == attackers().end()) return nullptr;
  std::unique_ptr<AttackerSpec> spec = kind->spec();
  const Settings settings = spec->settings();
  for (const Setting& s : settings)
    if (s.source == Setting::Source::seed) s.read(std::to_string(seed));
  std::stringstream list(colon == std::string::npos ? "" : text.substr(colon + 1));
  for (std::string entry; std::getline(list, entry, ',');) {
    const size_t equals = entry.find('=');
    check(equals != std::string::npos, "\"", text, "\": \"", entry, "\" is no SETTING=VALUE");
    const std::string key = entry.substr(0, equals);
    std::vector<std::string> known;
    for (const Setting& s : settings)
      if (s.source == Setting::Source::option) known.push_back(s.name);
    const auto s = std::find_if(settings.begin(), settings.end(), [&](const Setting& setting) {
      return setting.name == key && setting.source == Setting::Source::option;
    });
    std::string names;
    for (const std::string& k : known) names += (names.empty() ? "" : ", ") + k;
    check(s != settings.end(), "\"", text, "\": ", name, " has no setting \"", key, "\"",
          nearest_name(key, known), "; it has ", names);
    s->read(entry.substr(equals + 1));
  }
  spec->check_valid();
  return spec;
}

AttackerText split_attacker(const std::string& text) {
  const size_t equals = text.find('='), colon = text.find(':');
  // The first "=" of inversion:steps=60 belongs to a setting.
  const std::string before = text.substr(0, colon);
  const bool named = std::any_of(attackers().begin(), attackers().end(),
                                 [&](const AttackerKind& k) { return k.spec && k.name == before; });
  if (equals == std::string::npos || named) return {"", text};
  return {text.substr(0, equals), text.substr(equals + 1)};
}

}  // namespace advf
