#include "tools/audit/protection_changes.h"

#include <set>

#include "tools/audit/audit_rows.h"

namespace advf::tools {
namespace {

using nlohmann::json;

const json* protection_of(const json& report, const std::string& name) {
  const auto list = report.find("protections");
  if (list == report.end()) return nullptr;
  for (const json& p : *list)
    if (p["name"] == name) return &p;
  return nullptr;
}

std::string value_text(const json& object, const std::string& key) {
  return object.contains(key) ? object[key].dump() : "not there";
}

// Which of two objects' keys have other values: "noise_length 1.4 -> 2".
std::string changed_keys(const json& was, const json& is) {
  std::set<std::string> keys;
  for (const json* object : {&was, &is})
    for (const auto& [key, unused] : object->items()) keys.insert(key);
  std::string text;
  for (const std::string& key : keys)
    if (value_text(was, key) != value_text(is, key))
      text += (text.empty() ? "" : ", ") + key + " " + value_text(was, key) + " -> " + value_text(is, key);
  return text;
}

void settings_of(const std::string& name, const json& was, const json& is, std::vector<std::string>& list) {
  const json old = was.value("applied", json::array()), now = is.value("applied", json::array());
  const auto names = [](const json& applied) {
    std::string text;
    for (const json& one : applied) text += (text.empty() ? "" : ", ") + one["name"].get<std::string>();
    return text;
  };
  if (old.empty() || now.empty()) return;  // nothing of it was measured
  if (names(old) != names(now)) {
    list.push_back(name + ": is " + names(now) + ", was " + names(old));
    return;
  }
  for (size_t i = 0; i < now.size(); ++i)
    for (const char* what : {"settings", "networks"})
      if (const std::string text =
              changed_keys(old[i].value(what, json::object()), now[i].value(what, json::object()));
          !text.empty())
        list.push_back(name + ": " + now[i]["name"].get<std::string>() + ": " + text);
}

// How much is learned of a record without the key, of name_of(WithoutKey): the more, the higher.
int without_key(const json& proved) {
  const std::string what = proved.value("without_key", "");
  return what == "nothing" ? 0 : what == "inner products" ? 1 : what == "not proved" ? 2 : 3;
}

void promises_of(const std::string& name, const json& was, const json& is, std::vector<std::string>& list) {
  if (is.contains("undone_by") && !was.contains("undone_by"))
    list.push_back(name + ": comes off with a number that others may know, and did not: " +
                   is["undone_by"].get<std::string>());
  if (!is.contains("proved")) return;  // nothing of it was measured
  const json old = was.value("proved", json::object()), now = is["proved"];
  if (old.contains("privacy")) {
    const json& a = old["privacy"];
    if (!now.contains("privacy")) {
      list.push_back(name + ": nothing is proved of a record's privacy any more, and epsilon " +
                     a["epsilon"].dump() + " was");
    } else {
      const json& b = now["privacy"];
      for (const char* of : {"epsilon", "delta"})
        if (b[of].get<double>() > a[of].get<double>())
          list.push_back(name + ": what is proved of a record's privacy is less: " + of + " " + b[of].dump() +
                         ", was " + a[of].dump());
      if (b.contains("as_long_as") && !a.contains("as_long_as"))
        list.push_back(name + ": what is proved of a record's privacy holds only as long as " +
                       b["as_long_as"].get<std::string>());
    }
  }
  if (without_key(now) > without_key(old))
    list.push_back(
        name + ": what is learned without the key: " + now.value("without_key", "anything, there is no key") +
        ", was " + old["without_key"].get<std::string>());
}

}  // namespace

ProtectionChanges protection_changes(const json& before, const json& after) {
  ProtectionChanges changes;
  const auto list = after.find("protections");
  if (list == after.end()) return changes;
  for (const json& is : *list) {
    const json* was = protection_of(before, is["name"]);
    if (!was) continue;
    const std::string name = in_quotes(is["name"]);
    settings_of(name, *was, is, changes.settings);
    promises_of(name, *was, is, changes.lost);
  }
  return changes;
}

}  // namespace advf::tools
