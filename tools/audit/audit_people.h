// people.json: what an audit measured of each person under test, beside report.json, which names its digest.
// From it the differences between two audits of the same people are paired (docs/audit.md).
#pragma once
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "advface/audit/metrics.h"

namespace advf::tools {

inline constexpr const char* kPeopleFile = "people.json";

// Of every row and every measure of a leak that is a mean over people.
class PeopleValues {
 public:
  // One value, of one photograph of a person; cls: of a mean over classes, from 0.
  void add(const std::string& row, const std::string& measure, int64_t person, size_t cls, double value);
  // The bytes of the file. Two lists of people that are the same stand in it once; means have seven digits,
  // which is what scores of single photographs have.
  std::string text() const;

  // The people of a row's measure, ascending by their numbers, and what they add up to.
  struct People {
    std::vector<int64_t> person;
    std::vector<PersonSums> sums;
    double mean() const;  // over classes of their means
  };
  // Throws Error naming the file where it is none of these.
  static PeopleValues parse(const std::string& text, const std::string& file);
  std::optional<People> of(const std::string& row, const std::string& measure) const;
  std::vector<std::pair<std::string, std::string>> names() const;  // rows and measures

 private:
  std::map<std::pair<std::string, std::string>, std::map<int64_t, PersonSums>> rows_;
};

// Of this report; nothing, and why, where there are none that belong to it.
struct ReportPeople {
  std::optional<PeopleValues> values;
  std::string why_not;  // "older.json: was made before people.json was"
};
ReportPeople people_of(const nlohmann::json& report, const std::string& path);
// Whether these people make a row's mean, as far as seven digits of each of them tell.
bool is_mean_of(const PeopleValues::People& people, const nlohmann::json& told);
// Means of rows that their people do not make, or that lack them, or are of other photographs than these, and
// values of rows that are not there: "AdvFace/transfer/protected: ssim". Of accuracy, which is a mean over
// folds, what a protection costs of it, with its interval.
std::vector<std::string> not_of_people(const nlohmann::json& report, const PeopleValues& values);
// identities: of each photograph under test, in order. Values of others, or of more photographs than there
// are, and intervals of rows that the bootstrap over these people does not give again.
std::vector<std::string> not_of_tested(const nlohmann::json& report, const PeopleValues& values,
                                       const std::vector<std::string>& identities);

}  // namespace advf::tools
