// What the results of all audits have in common.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "advface/audit/feature_sets.h"
#include "tensor/io/atomic_file.h"
#include "tools/options/cli.h"

namespace advf::tools {

// {"mean", "low", "high"}: with a 95 % interval from a bootstrap over people; null for no values.
nlohmann::json interval_json(const std::vector<double>& values, const std::vector<int64_t>& people,
                             uint64_t seed);
nlohmann::json left_out_json(const std::vector<LeftOut>& pairs);
nlohmann::json locks_json(const std::vector<LockKnowledge>& locks);
void print_left_out(const std::vector<LeftOut>& pairs);  // a line each, below a table
// {"protected, epsilon 0.02": [...]}
nlohmann::json protections_json(const std::vector<std::pair<std::string, ProtectionId>>& protections);
// "0.912 [0.880, 0.940]", or "-" for null.
std::string interval_text(const nlohmann::json& interval);
// Scores of single photographs, tab-separated, with the names of the columns in the first line.
class ScoreSheet {
 public:
  // path: empty for none.
  ScoreSheet(const std::string& path, const std::vector<std::string>& columns);
  void add(const std::vector<std::string>& fields);
  void commit();  // until then there is no file

 private:
  std::optional<AtomicFile> file_;
};
// Of nine digits, as all scores are written.
std::string score_text(double value);
// An identity as a field: blanks in it, tabs among them, are single spaces, by which it is the same person.
std::string person_text(const std::string& identity);
// --protected takes NAME=FILE; WrongCall for another form.
void check_protected_files(const std::vector<std::string>& texts);

}  // namespace advf::tools
