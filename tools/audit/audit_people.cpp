#include "tools/audit/audit_people.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "advface/core/json_text.h"
#include "advface/core/text_file.h"
#include "tools/audit/audit_facts.h"
#include "tools/audit/audit_plan.h"
#include "tools/audit/audit_rows.h"
#include "tools/audit/pair_decisions.h"

namespace advf::tools {
namespace {

using nlohmann::json;

constexpr const char* kPeopleFormat = "advface-audit-people";
constexpr int kPeopleVersion = 1;
constexpr int64_t kMostClasses = 16;
constexpr double kRounding = 1e-5;  // of means that were written with seven digits
constexpr const char* kMeansOverPeople[] = {"ssim", "cosine", "replay", "rank_1", "balanced_accuracy"};

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

std::vector<std::pair<std::string, std::string>> PeopleValues::names() const {
  std::vector<std::pair<std::string, std::string>> list;
  for (const auto& [name, people] : rows_) list.push_back(name);
  return list;
}

bool is_mean_of(const PeopleValues::People& people, const json& told) {
  return std::abs(people.mean() - told["mean"].get<double>()) < kRounding;
}

namespace {

// Whether the bootstrap over these people, with the seed that the row was made with, gives the interval. Of
// `before`, where given, the difference of these from them.
bool is_interval_of(const PeopleValues::People& people, const PeopleValues::People* before, uint64_t seed,
                    const std::string& measure, const json& told) {
  if (people.sums.size() < 2) return !told.contains("low");
  if (!told.contains("low") || !told.contains("high")) return false;
  std::vector<PersonSums> from = people.sums;
  for (PersonSums& one : from) std::ranges::fill(one.sum, 0.0);
  if (before) {
    const auto same = [](const PersonSums& a, const PersonSums& b) { return a.records == b.records; };
    if (before->person != people.person || !std::ranges::equal(before->sums, people.sums, same)) return false;
    from = before->sums;
  }
  const Interval made = bootstrap_difference(from, people.sums, seed);
  json again = {{"mean", told["mean"]}, {"low", made.low}, {"high", made.high}};
  if (measure == "replay" || measure == "rank_1") widen_ends(again, double(people.sums.size()));
  return std::abs(again["low"].get<double>() - told["low"].get<double>()) < kRounding &&
         std::abs(again["high"].get<double>() - told["high"].get<double>()) < kRounding;
}

double records_of(const PersonSums& person) {
  double all = 0;
  for (const double records : person.records) all += records;
  return all;
}
double records_of(const PeopleValues::People& people) {
  double all = 0;
  for (const PersonSums& one : people.sums) all += records_of(one);
  return all;
}

}  // namespace

std::vector<std::string> not_of_people(const json& report, const PeopleValues& values) {
  std::vector<std::string> wrong;
  std::set<std::pair<std::string, std::string>> known;
  const auto add = [&](const json& row, const char* measure, bool good) {
    known.emplace(row["id"], measure);
    if (!good) wrong.push_back(row["id"].get<std::string>() + ": " + measure);
  };
  for (const json& row : report["rows"]) {
    if (row["attacker"] == kAccuracy) {
      const auto mine = values.of(row["id"], kAccuracy);
      add(row, kAccuracy, mine.has_value());
      if (!mine || !row["measures"].contains("accuracy_loss")) continue;
      for (const json& raw : report["rows"])
        if (raw["attacker"] == kAccuracy && raw["features"] == "raw" && raw["seed"] == row["seed"])
          if (const auto other = values.of(raw["id"], kAccuracy)) {
            const json& loss = row["measures"]["accuracy_loss"];
            add(row, kAccuracy,
                std::abs(other->mean() - mine->mean() - loss["mean"].get<double>()) < kRounding &&
                    is_interval_of(*other, &*mine, report["config"].value("seed", uint64_t(1)), kAccuracy,
                                   loss));
          }
      continue;
    }
    if (row["features"] != "protected") continue;
    for (const char* measure : kMeansOverPeople) {
      if (!row["measures"].contains(measure)) continue;
      const auto people = values.of(row["id"], measure);
      const json& told = row["measures"][measure];
      add(row, measure, people && is_mean_of(*people, told));
      if (people && records_of(*people) != row.value("images", 0.0))
        wrong.push_back(row["id"].get<std::string>() + ": photographs of " + measure);
    }
  }
  for (const auto& name : values.names())
    if (!known.contains(name)) wrong.push_back(name.first + ": " + name.second);
  return wrong;
}

std::vector<std::string> not_of_tested(const json& report, const PeopleValues& values,
                                       const std::vector<std::string>& identities) {
  // Who bootstraps draws people in the order in which the photographs show them first.
  struct Tested {
    size_t place = 0;
    double photographs = 0;
  };
  std::map<int64_t, Tested> tested;
  for (const std::string& name : identities)
    ++tested.try_emplace(person_key(name), Tested{tested.size(), 0}).first->second.photographs;
  std::vector<std::string> wrong;
  for (const auto& [id, measure] : values.names()) {
    if (measure == kAccuracy) continue;  // of pairs, who may be anybody
    const PeopleValues::People people = *values.of(id, measure);
    std::map<size_t, PersonSums> in_order;
    std::string why;
    for (size_t i = 0; i < people.person.size() && why.empty(); ++i) {
      const auto at = tested.find(people.person[i]);
      if (at == tested.end())
        why = " of who is not under test";
      else if (records_of(people.sums[i]) > at->second.photographs)
        why = " of more photographs than there are";
      else
        in_order[at->second.place] = people.sums[i];
    }
    PeopleValues::People ordered;
    for (auto& [place, sums] : in_order) ordered.sums.push_back(std::move(sums));
    for (const json& row : report["rows"])
      if (why.empty() && row["id"] == id && row["measures"].contains(measure) &&
          !is_interval_of(ordered, nullptr, row["seed"], measure, row["measures"][measure]))
        why = " has another interval";
    if (!why.empty()) wrong.push_back(id + ": " + measure + why);
  }
  return wrong;
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
