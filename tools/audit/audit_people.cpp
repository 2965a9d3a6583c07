#include "tools/audit/audit_people.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "advface/core/json_text.h"
#include "advface/core/text_file.h"
#include "tools/audit/audit_facts.h"

namespace advf::tools {
namespace {

using nlohmann::json;

constexpr const char* kPeopleFormat = "advface-audit-people";
constexpr int kPeopleVersion = 1;
constexpr int64_t kMostClasses = 16;

double seven_digits(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.7g", value);
  return std::strtod(text, nullptr);
}

// Numbers of 64 bits, which not every reader of JSON keeps, as texts.
std::string person_hex(int64_t person) {
  char text[24];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(person));
  return text;
}

}  // namespace

void PeopleValues::add(const std::string& row, const std::string& measure, int64_t person, size_t cls,
                       double value) {
  PersonSums& sums = rows_[{row, measure}][person];
  if (sums.sum.size() <= cls) sums.sum.resize(cls + 1), sums.records.resize(cls + 1);
  sums.sum[cls] += value, ++sums.records[cls];
}

std::string PeopleValues::text() const {
  json sets = json::array(), rows = json::array();
  std::map<std::string, size_t> known;  // a set's text: its place
  for (const auto& [name, people] : rows_) {
    size_t classes = 1;
    for (const auto& [person, sums] : people) classes = std::max(classes, sums.sum.size());
    json row = {{"id", name.first}, {"measure", name.second}, {"of", json::array()}};
    for (size_t c = 0; c < classes; ++c) {
      json set = {{"people", json::array()}, {"images", json::array()}}, means = json::array();
      for (const auto& [person, sums] : people) {
        if (c >= sums.records.size() || sums.records[c] == 0) continue;
        set["people"].push_back(person_hex(person));
        set["images"].push_back(int64_t(sums.records[c]));
        means.push_back(seven_digits(sums.sum[c] / sums.records[c]));
      }
      const auto [at, fresh] = known.emplace(set.dump(), sets.size());
      if (fresh) sets.push_back(std::move(set));
      row["of"].push_back({{"set", at->second}, {"means", std::move(means)}});
    }
    rows.push_back(std::move(row));
  }
  return json{{"format", kPeopleFormat}, {"version", kPeopleVersion}, {"sets", sets}, {"rows", rows}}.dump() +
         "\n";
}

PeopleValues PeopleValues::parse(const std::string& text, const std::string& file) {
  PeopleValues values;
  const json whole = parse_json(text, file);
  try {
    check(whole.at("format") == kPeopleFormat && whole.at("version") == kPeopleVersion, file,
          ": is no file of people of advface-audit, or a newer one");
    for (const json& row : whole.at("rows")) {
      auto& people = values.rows_[{row.at("id").get<std::string>(), row.at("measure").get<std::string>()}];
      const size_t classes = row.at("of").size();
      check(classes >= 1 && int64_t(classes) <= kMostClasses, file, ": ", row.at("id").dump(), " has ",
            classes, " classes");
      for (size_t c = 0; c < classes; ++c) {
        const json &of = row.at("of")[c], &set = whole.at("sets").at(of.at("set").get<size_t>());
        const json &names = set.at("people"), &images = set.at("images"), &means = of.at("means");
        check(names.size() == images.size() && names.size() == means.size(), file, ": ", row.at("id").dump(),
              " does not have a mean for each person");
        for (size_t i = 0; i < names.size(); ++i) {
          PersonSums& sums = people[int64_t(std::stoull(names[i].get<std::string>(), nullptr, 16))];
          sums.sum.resize(classes), sums.records.resize(classes);
          sums.records[c] = images[i].get<double>();
          sums.sum[c] = means[i].get<double>() * sums.records[c];
        }
      }
    }
  } catch (const json::exception& e) {
    fail(file, ": is damaged: ", e.what());
  } catch (const std::logic_error& e) {  // of a number
    fail(file, ": is damaged: a person is no number");
  }
  return values;
}

double PeopleValues::People::mean() const {
  double total = 0, present = 0;
  for (size_t c = 0; !sums.empty() && c < sums[0].sum.size(); ++c) {
    double sum = 0, records = 0;
    for (const PersonSums& s : sums) sum += s.sum[c], records += s.records[c];
    if (records > 0) total += sum / records, ++present;
  }
  return present > 0 ? total / present : NAN;
}

std::optional<PeopleValues::People> PeopleValues::of(const std::string& row,
                                                     const std::string& measure) const {
  const auto at = rows_.find({row, measure});
  if (at == rows_.end()) return std::nullopt;
  People people;
  size_t classes = 1;
  for (const auto& [person, sums] : at->second) classes = std::max(classes, sums.sum.size());
  for (const auto& [person, sums] : at->second) {
    people.person.push_back(person), people.sums.push_back(sums);
    people.sums.back().sum.resize(classes), people.sums.back().records.resize(classes);
  }
  return people;
}

ReportPeople people_of(const json& report, const std::string& path) {
  if (!report.contains("people") || !report["people"].is_object())
    return {std::nullopt, path + " was made before reports came with " + kPeopleFile};
  const std::string file = (std::filesystem::path(path).parent_path() / kPeopleFile).string();
  std::error_code none;
  if (!std::filesystem::exists(file, none)) return {std::nullopt, file + " is not there"};
  if (digest_of_file(file) != report["people"].value("digest", ""))
    return {std::nullopt, file + " is of another report than " + path};
  return {PeopleValues::parse(read_text(file), file), ""};
}

}  // namespace advf::tools
