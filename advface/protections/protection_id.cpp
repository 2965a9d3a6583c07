#include "advface/protections/protection_id.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "advface/core/json_text.h"
#include "advface/protections/registry.h"

namespace advf {
namespace {

using nlohmann::json;

constexpr const char* kSeed = "seed";

json parsed(const std::string& text) { return json_or_discarded(text); }

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

// Once the generator was a method of advface, with the shadow that measured it among the networks.
void give_the_generator_its_name(AppliedProtection& a) {
  const auto method = a.settings.find("method");
  if (a.name != "advface" || method == a.settings.end() || method->second != "\"generator\"") return;
  a.name = "generator";
  std::erase_if(a.settings,
                [](const auto& s) { return s.first != "epsilon" && s.first != "keep_recognition"; });
  a.networks.erase("shadow");
}

// Every file that protects has its fingerprint there, and nothing else has; one that goes with another
// setting alone is no network.
void check_networks(const AppliedProtection& a, ProtectionSpec& spec, const std::string& source) {
  size_t files = 0;
  for (const Setting& s : spec.settings()) {
    if (s.source != Setting::Source::file || s.applies) continue;
    ++files;
    const auto found = a.networks.find(s.name);
    check(found != a.networks.end() && !found->second.empty(), source, ": the protection ", a.name,
          " does not say which ", s.name, " it was");
  }
  check(files == a.networks.size(), source, ": the protection ", a.name,
        " names files that it does not have");
}

}  // namespace

bool ProtectionId::is_like(const ProtectionId& other) const {
  return known() && other.known() && difference(other).empty();
}

bool ProtectionId::same_space(const ProtectionId& other) const {
  return std::equal(applied.begin(), applied.end(), other.applied.begin(), other.applied.end(),
                    [](const AppliedProtection& a, const AppliedProtection& b) {
                      return a == b || !spec_of(a, a.name)->out({}).moved;
                    });
}

bool ProtectionId::is_like_but_for_key(const ProtectionId& other) const {
  const auto unnamed = [](ProtectionId id) {
    for (AppliedProtection& a : id.applied)
      for (const std::string& name : spec_of(a, a.name)->names_of_key()) {
        a.settings.erase(name);
        a.networks.erase(name);
      }
    return id;
  };
  return known() && other.known() && unnamed(*this).difference(unnamed(other)).empty();
}

bool ProtectionId::is_then(const ProtectionId& before, const std::string& protection) const {
  if (!known() || applied.size() != before.applied.size() + 1 || applied.back().name != protection)
    return false;
  const ProtectionId head{{applied.begin(), applied.end() - 1}, {}};
  return head.is_like(before) && head.same_space(before);
}

ProtectionId ProtectionId::without_key() const {
  ProtectionId id = *this;
  std::erase_if(id.applied, [](const AppliedProtection& a) { return spec_of(a, a.name)->needs_key(); });
  return id;
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

ProtectionId ProtectionId::then(const ProtectionId& more) const {
  ProtectionId id = *this;
  id.applied.insert(id.applied.end(), more.applied.begin(), more.applied.end());
  check(id.applied.size() <= kMost, "features are protected ", id.applied.size(), " times; at most ", kMost,
        " can be described");
  return id;
}

std::string ProtectionId::summary() const {
  std::string text;
  // The first resident has no name, as it had none when it was the only one.
  for (const AppliedProtection& a : applied)
    text += (text.empty() ? "" : ", then ") + (a.name == "advface" ? "" : a.name + " ") +
            spec_of(a, a.name)->summary();
  return text;
}

std::string ProtectionId::describe() const {
  return !known() ? "unknown" : applied.empty() ? "raw" : "protected, " + summary();
}

std::string ProtectionId::to_json() const {
  if (!known()) return json{{"unknown", unknown}}.dump(-1, ' ', false, json::error_handler_t::replace);
  json list = json::array();
  for (const AppliedProtection& a : applied)
    list.push_back({{"name", a.name}, {"settings", object_of(a.settings)}, {"networks", a.networks}});
  return list.dump();
}

AppliedProtection canonical(AppliedProtection applied, const std::string& source) {
  give_the_generator_its_name(applied);
  const std::unique_ptr<ProtectionSpec> spec = spec_of(applied, source);
  try {
    spec->check_valid();
    spec->check_stated();
  } catch (const Error& e) {
    fail(source, ": ", e.what());
  }
  check_networks(applied, *spec, source);
  check(spec->out({Shape{1}}).row.numel() > 0, source, ": the protection ", applied.name, " keeps nothing");
  applied.settings = spec->values();
  return applied;
}

ProtectionId ProtectionId::from_json(std::string_view text, const std::string& source) {
  const json root = parse_json(text, source);
  ProtectionId id;
  if (root.is_object() && root.size() == 1 && root.contains("unknown")) {
    id.unknown = field<std::string>(root, "unknown", &json::is_string, source);
    check(!id.unknown.empty() &&
              std::none_of(id.unknown.begin(), id.unknown.end(), [](char c) { return uint8_t(c) < ' '; }),
          source, ": the protection is unknown without a proper reason");
    return id;
  }
  check(root.is_array() && root.size() <= ProtectionId::kMost, source,
        ": the protection is not a list of what was applied");
  for (const json& entry : root) {
    check(entry.is_object(), source, ": the protection is not a list of what was applied");
    AppliedProtection a;
    a.name = field<std::string>(entry, "name", &json::is_string, source);
    a.settings = texts_of(field<json>(entry, "settings", &json::is_object, source));
    const json networks = field<json>(entry, "networks", &json::is_object, source);
    for (const auto& [part, fingerprint] : networks.items()) {
      check(fingerprint.is_string(), source, ": the protection's ", part, " has no fingerprint");
      a.networks[part] = fingerprint;
    }
    id.applied.push_back(canonical(std::move(a), source));
  }
  return id;
}

}  // namespace advf
