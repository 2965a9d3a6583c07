#include "advface/protections/protection_id.h"

#include <nlohmann/json.hpp>

namespace advf {
namespace {

using nlohmann::json;

constexpr const char* kSeed = "seed";

json parsed(const std::string& text) { return json::parse(text, nullptr, false); }

Metadata texts_of(const json& object) {
  Metadata texts;
  for (const auto& [key, value] : object.items()) texts[key] = value.dump();
  return texts;
}
json object_of(const Metadata& texts) {
  json object = json::object();
  for (const auto& [key, text] : texts) object[key] = parsed(text);
  return object;
}

// "epsilon is 0.02, not 0.04", of the first entry that is not the same.
std::string difference_of(const Metadata& a, const Metadata& b, const std::string& what) {
  Metadata keys = a;
  keys.insert(b.begin(), b.end());
  for (const auto& [key, unused] : keys) {
    const auto here = a.find(key), there = b.find(key);
    const std::string left = here == a.end() ? "not set" : here->second,
                      right = there == b.end() ? "not set" : there->second;
    if (left != right) return what + key + " is " + left + ", not " + right;
  }
  return "";
}

Metadata without_seed(Metadata settings) {
  settings.erase(kSeed);
  return settings;
}

// What a field of a JSON object is, by a type's own test.
template <class T>
T field(const json& object, const char* key, bool (json::*is)() const noexcept, const std::string& source) {
  check(object.contains(key) && (object[key].*is)(), source, ": the protection has no proper \"", key, "\"");
  return object[key].get<T>();
}

template <class E>
E choice(const json& object, const char* key, const std::string& source) {
  const auto text = field<std::string>(object, key, &json::is_string, source);
  for (const Choice<E>& c : choices<E>())
    if (text == c.name) return c.value;
  fail(source, ": the protection's ", key, " is \"", text, "\", which is not known here");
}

}  // namespace

bool ProtectionId::is_like(const ProtectionId& other) const {
  return known() && other.known() && difference(other).empty();
}

std::string ProtectionId::difference(const ProtectionId& other) const {
  if (!known()) return unknown;
  if (!other.known()) return other.unknown;
  if (applied.size() != other.applied.size()) return describe() + " is not " + other.describe();
  for (size_t i = 0; i < applied.size(); ++i) {
    const AppliedProtection &a = applied[i], &b = other.applied[i];
    if (a.name != b.name) return a.name + " is not " + b.name;
    std::string found = difference_of(without_seed(a.settings), without_seed(b.settings), "");
    if (found.empty()) found = difference_of(a.networks, b.networks, "the ");
    if (!found.empty()) return found;
  }
  return "";
}

std::string ProtectionId::describe() const {
  if (!known()) return "unknown";
  if (applied.empty()) return "raw";
  std::string text = "protected";
  for (const AppliedProtection& a : applied)
    text += (text == "protected" ? ", " : ", then ") + settings_from(a.settings, a.name).summary();
  return text;
}

std::string ProtectionId::to_json() const {
  if (!known()) return json{{"unknown", unknown}}.dump(-1, ' ', false, json::error_handler_t::replace);
  json list = json::array();
  for (const AppliedProtection& a : applied)
    list.push_back({{"name", a.name}, {"settings", object_of(a.settings)}, {"networks", a.networks}});
  return list.dump();
}

ProtectionId ProtectionId::from_json(std::string_view text, const std::string& source) {
  const json root = json::parse(text, nullptr, false);
  ProtectionId id;
  if (root.is_object() && root.size() == 1 && root.contains("unknown")) {
    id.unknown = field<std::string>(root, "unknown", &json::is_string, source);
    check(!id.unknown.empty(), source, ": the protection is unknown without a reason");
    return id;
  }
  check(root.is_array() && root.size() <= 16, source, ": the protection is not a list of what was applied");
  for (const json& entry : root) {
    check(entry.is_object(), source, ": the protection is not a list of what was applied");
    AppliedProtection a;
    a.name = field<std::string>(entry, "name", &json::is_string, source);
    check(a.name == "advface", source, ": was protected by \"", a.name, "\", which is not known here");
    a.settings = to_metadata(
        settings_from(texts_of(field<json>(entry, "settings", &json::is_object, source)), source));
    const json networks = field<json>(entry, "networks", &json::is_object, source);
    for (const auto& [part, fingerprint] : networks.items()) {
      check(fingerprint.is_string(), source, ": the protection's ", part, " has no fingerprint");
      a.networks[part] = fingerprint;
    }
    id.applied.push_back(std::move(a));
  }
  return id;
}

AppliedProtection advface_protection(const ProtectSettings& settings, const Metadata& networks) {
  return {"advface", to_metadata(settings), networks};
}

Metadata to_metadata(const ProtectSettings& settings) {
  json object = {{"epsilon", settings.epsilon},
                 {"steps", settings.effective_steps()},
                 {"step_size", settings.effective_step_size()},
                 {kSeed, settings.seed},
                 {"objective", name_of(settings.objective)},
                 {"loss", name_of(settings.loss)},
                 {"method", name_of(settings.method)},
                 {"norm", name_of(settings.norm)},
                 {"bn", name_of(settings.batch_norm)},
                 {"ensemble", name_of(settings.ensemble)}};
  if (settings.keep_recognition) object["keep_recognition"] = *settings.keep_recognition;
  return texts_of(object);
}

ProtectSettings settings_from(const Metadata& metadata, const std::string& source) {
  const json object = object_of(metadata);
  const auto number = [&](const char* key) { return field<double>(object, key, &json::is_number, source); };
  ProtectSettings s;
  s.epsilon = number("epsilon");
  s.method = choice<Method>(object, "method", source);
  s.objective = choice<Objective>(object, "objective", source);
  s.loss = choice<Loss>(object, "loss", source);
  s.norm = choice<Norm>(object, "norm", source);
  s.batch_norm = choice<BatchNormMode>(object, "bn", source);
  s.ensemble = choice<Ensemble>(object, "ensemble", source);
  s.seed = field<uint64_t>(object, kSeed, &json::is_number_unsigned, source);
  const double steps = number("steps"), step_size = number("step_size");
  check(steps >= 1 && steps <= 100000 && steps == double(int(steps)), source, ": the protection has ", steps,
        " steps");
  s.steps = int(steps);
  if (step_size != s.effective_step_size()) s.step_size = step_size;
  if (object.contains("keep_recognition")) s.keep_recognition = number("keep_recognition");
  try {
    s.check_valid();
  } catch (const Error& e) {
    fail(source, ": ", e.what());
  }
  const Metadata known = to_metadata(s);
  for (const auto& [key, text] : metadata)
    check(known.contains(key), source, ": the protection's setting ", key, " is not known here");
  return s;
}

}  // namespace advf
