#include "tools/evaluate/audit_json.h"

#include <cstdio>

#include "advface/audit/metrics.h"
#include "advface/core/text_file.h"
#include "tools/evaluate/evaluate.h"
#include "tools/options/protection_options.h"

namespace advf::tools {

void add_average(CLI::App& app, std::optional<int64_t>& average) {
  app.add_option("--average", average,
                 "enrol each person with so many photographs, the record's own and others, none of which is "
                 "what the record is compared with; what is stored is their mean. 0 = all there are")
      ->check(not_negative());
}

void add_leaked_key(CLI::App& app, bool& leaked) {
  app.add_flag("--leaked-key", leaked,
               "the key has leaked: attackers also get what lies under it (without this nobody but the "
               "matching side "
               "has it)")
      ->group("Protection");
}

nlohmann::json interval_json(const std::vector<double>& values, const std::vector<int64_t>& people,
                             uint64_t seed) {
  if (values.empty()) return nullptr;
  const Interval i = bootstrap_mean(values, people, seed);
  return {{"mean", i.mean}, {"low", i.low}, {"high", i.high}};
}

nlohmann::json left_out_json(const std::vector<LeftOut>& pairs) {
  nlohmann::json list = nlohmann::json::array();
  for (const LeftOut& pair : pairs)
    list.push_back({{"attacker", pair.attacker}, {"features", pair.features}, {"reason", pair.reason}});
  return list;
}

nlohmann::json locks_json(const std::vector<LockKnowledge>& locks) {
  nlohmann::json list = nlohmann::json::array();
  for (const LockKnowledge& lock : locks)
    list.push_back({{"attacker", lock.attacker}, {"features", lock.features}, {"pairs_of", lock.pairs_of}});
  return list;
}

void print_left_out(const std::vector<LeftOut>& pairs) {
  for (const LeftOut& pair : pairs)
    std::printf("left out: %s, %s: %s\n", pair.attacker.c_str(), pair.features.c_str(), pair.reason.c_str());
}

nlohmann::json protections_json(const std::vector<std::pair<std::string, ProtectionId>>& protections) {
  nlohmann::json json = nlohmann::json::object();
  for (const auto& named : protections) json[named.first] = to_json(named.second);
  return json;
}

std::string interval_text(const nlohmann::json& interval) {
  if (!interval.is_object()) return "-";
  char text[64];
  std::snprintf(text, sizeof text, "%.3f [%.3f, %.3f]", interval["mean"].get<double>(),
                interval["low"].get<double>(), interval["high"].get<double>());
  return text;
}

ScoreSheet::ScoreSheet(const std::string& path, const std::vector<std::string>& columns) {
  if (path.empty()) return;
  file_.emplace(path);
  add(columns);
}

void ScoreSheet::add(const std::vector<std::string>& fields) {
  if (!file_) return;
  std::string line;
  for (const std::string& field : fields) line += field + (&field == &fields.back() ? "\n" : "\t");
  file_->write(line);
}

void ScoreSheet::commit() {
  if (file_) file_->commit();
}

std::string score_text(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

std::string person_text(const std::string& identity) { return single_spaced(identity); }

void check_protected_files(const std::vector<std::string>& texts) {
  as_usage([&] {
    for (const std::string& text : texts)
      check(text.find('=') != std::string::npos && text.find('=') > 0, "--protected takes NAME=FILE, not \"",
            text, "\"");
  });
}

}  // namespace advf::tools
