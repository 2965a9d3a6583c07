// What rows, groups and failures of a report say of one another, whatever lies beside it.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "tools/audit/at_rest.h"
#include "tools/audit/audit_groups.h"
#include "tools/audit/audit_report.h"
#include "tools/audit/audit_rows.h"
#include "tools/audit/report_checks.h"
#include "tools/options/cli.h"

namespace advf::tools {
namespace {

using nlohmann::json;
using List = std::vector<std::string>;

constexpr double kSumRounding = 1e-6;  // of means that were added up in another order

bool is_near(double a, double b) { return std::abs(a - b) < kSumRounding; }

double mean_of(const json& row, const char* measure) { return row["measures"][measure]["mean"]; }

bool is_of_pictures(const json& row) {
  static const std::set<std::string> kOthers{"linkage", "unlinkability", "attributes"};
  const std::string attacker = row["attacker"];
  return row["features"] != "none" && attacker != kAccuracy && attacker != kStored &&
         attacker != kCertificate && !kOthers.contains(attacker);
}

// A row of raw features, or the mean face beside it (features none), of the attacker by whom this one is
// judged; null where there is none.
const json* beside(const json& report, const json& row, const char* features) {
  for (const json& other : report["rows"]) {
    if (other["features"] != features || other["seed"] != row["seed"]) continue;
    const std::string attacker = attacker_on_raw(row["attacker"]);
    if (features == std::string("raw") ? other["attacker"] == attacker && other["variant"] == row["variant"]
                                       : other["attacker"] == "mean face" && other["variant"] == attacker)
      return &other;
  }
  return nullptr;
}

// Measures that are made of others, and ends of intervals.
void wrong_measures(const json& report, const AuditConfig& config, const json& row, List& wrong) {
  const std::string id = row["id"];
  const json& m = row["measures"];
  for (const char* list : {"measures", "above", "chance"}) {
    if (!row.contains(list)) continue;
    for (const auto& [name, value] : row[list].items())
      if (value.contains("low") != value.contains("high") ||
          (value.contains("low") && low_end(value) > high_end(value)))
        wrong.push_back(id + ": " + name + " has no interval that is one");
  }
  if (m.contains("ssim") && m.contains("ssim_as_is")) {
    const bool matched =
        m.contains("ssim_matched") && mean_of(row, "ssim_matched") > mean_of(row, "ssim_as_is");
    if (m["ssim"] != m[matched ? "ssim_matched" : "ssim_as_is"])
      wrong.push_back(id + ": ssim is not the better of as it is and matched");
  }
  if (is_of_pictures(row)) {
    const std::string judge = m.contains("cosine_second") ? "second" : "deployed";
    if (m.value("cosine", json()) != m.value("cosine_" + judge, json()))
      wrong.push_back(id + ": cosine is not that of the " + judge + " recogniser");
    if (m.contains("replay") &&
        (!m.contains("replay_" + judge + "_same_photo") ||
         !is_near(mean_of(row, "replay"), mean_of(row, ("replay_" + judge + "_same_photo").c_str()))))
      wrong.push_back(id + ": replay is not that of the " + judge + " recogniser");
  }
  if (row.contains("above") && row["above"].contains("cosine") && m.contains("cosine") &&
      m.contains("cosine_of_others") &&
      !is_near(row["above"]["cosine"]["mean"], mean_of(row, "cosine") - mean_of(row, "cosine_of_others")))
    wrong.push_back(id + ": cosine above nothing is not what it has beyond that of others");
  // Of the mean face as it is or matched, as its row has both. No verdict reads that of controls (the
  // identity, noise), which are left alone.
  const bool is_judged = row["features"] == "raw" || row["features"] == "protected";
  if (const json* face = is_of_pictures(row) && is_judged ? beside(report, row, "none") : nullptr;
      face && row.contains("above") && row["above"].contains("ssim") && m.contains("ssim")) {
    const double none = mean_of(row, "ssim") - row["above"]["ssim"]["mean"].get<double>();
    bool is_face = false;
    for (const char* measure : {"ssim_as_is", "ssim_matched"})
      is_face |= (*face)["measures"].contains(measure) && is_near(none, mean_of(*face, measure));
    if (!is_face) wrong.push_back(id + ": ssim above nothing is not what it has beyond the mean face");
  }
  const json chance = row.value("chance", json::object());
  if (chance.contains("cosine") && chance["cosine"] != m.value("cosine_of_others", json()))
    wrong.push_back(id + ": nothing of its cosine is not what it has with others");
  if (row["attacker"] == "linkage") {
    // One of those under test; fewer where no face was found on somebody's photographs.
    const double people = report["data"]["test_people"].get<double>(),
                 among = chance.contains("rank_1") ? 1 / chance["rank_1"]["mean"].get<double>() : 0;
    const bool whole = config.faces.detection.card.empty() && config.faces.detection.landmarks.empty();
    if (!is_near(among, std::round(among)) || among < 1 || among > people + 0.5 ||
        (whole && !is_near(among, people)))
      wrong.push_back(id + ": chance is not one of the people under test");
  }
  if (row.contains("p_value") && !(row["p_value"] >= 0 && row["p_value"] <= 1))
    wrong.push_back(id + ": a p-value of " + row["p_value"].dump());
}

// Whether an attacker counts, as far as rows of raw features tell.
std::map<std::string, bool> counting(const json& report, const json& row) {
  std::map<std::string, bool> counts;
  const json* raw = beside(report, row, "raw");
  if (is_of_pictures(row)) {
    if (!raw) return {{"appearance", false}, {"identity", false}};
    const json* face = beside(report, row, "none");
    if (!face) return counts;
    const json &m = (*raw)["measures"], &none = (*face)["measures"];
    if (m.contains("ssim_as_is") && none.contains("ssim_as_is"))
      counts["appearance"] = low_end(m["ssim_as_is"]) > none["ssim_as_is"]["mean"];
    // By the deployed recogniser, whose cosine to others a report with a second one does not have.
    if (m.contains("cosine_second") || !m.contains("cosine_deployed")) return counts;
    const auto beyond = [&](const char* measure) {
      return m.contains(measure) && none.contains(measure) && low_end(m[measure]) > high_end(none[measure]);
    };
    const bool nearer = m.contains("cosine_of_others")
                            ? low_end(m["cosine_deployed"]) > high_end(m["cosine_of_others"])
                            : beyond("cosine_deployed");
    counts["identity"] = nearer || beyond("replay_deployed_same_photo");
    return counts;
  }
  // Of the same attacker on raw features, of attributes the same probe.
  const bool links = row["attacker"] == "linkage";
  if (!links && row["attacker"] != "attributes") return counts;
  const std::string variant = row["variant"], probe = variant.substr(0, variant.find(" trained on raw"));
  const char* measure = links ? "rank_1" : "balanced_accuracy";
  const json chance =
      links ? row.value("chance", json::object()).value("rank_1", json()) : json{{"mean", 0.5}};
  for (const json& other : report["rows"])
    if (other["attacker"] == row["attacker"] && other["features"] == "raw" && other["seed"] == row["seed"] &&
        (links || other["variant"] == probe) && other["measures"].contains(measure) && chance.is_object())
      counts[links ? "linkability" : "attributes"] = low_end(other["measures"][measure]) > chance["mean"];
  return counts;
}

void wrong_counts(const json& report, const json& row, List& wrong) {
  const std::string id = row["id"];
  for (const auto& [leak, counts] : counting(report, row))
    if (row["counts"].value(leak, json()) != counts)
      wrong.push_back(id + ": whether it counts for " + leak + " is not what rows of raw features say");
  const auto yes = [](const json& one) { return one == true; };
  const bool all = std::ranges::all_of(row["counts"], yes), some = std::ranges::any_of(row["counts"], yes);
  const bool less = row["converged"] == false || (!row["counts"].empty() && !some);
  if (less && row["why_not"].is_null()) wrong.push_back(id + ": does not say why it is worth less");
  if (row["converged"] == true && all && row["why_not"].is_string())
    wrong.push_back(id + ": says why it is worth less, and is not");
}

// Who was asked is asked about as many photographs as anybody of the same attacker, and as the budget says.
void wrong_images(const json& report, const AuditConfig& config, List& wrong) {
  std::map<std::pair<std::string, int64_t>, const json*> first;
  for (const json& row : report["rows"]) {
    if (!row.contains("images") || row["features"] == "none" || row["attacker"] == "unlinkability") continue;
    const std::string attacker = attacker_on_raw(row["attacker"]), id = row["id"];
    int64_t most = report["data"]["test_images"];
    if (attacker == "transfer") most = std::min(most, config.budget.test_images);
    if (attacker == "inversion" || attacker == "corrected")
      most = std::min(most, config.budget.inversion_images);
    if (attacker == "oracle") most = std::min(most, config.budget.oracle_images);
    if (attacker != kAccuracy && attacker != kCertificate && attacker != kStored && row["images"] > most)
      wrong.push_back(id + ": more photographs than it can have been asked about");
    const auto [at, fresh] = first.try_emplace({attacker, row["seed"]}, &row);
    if (!fresh && (*at->second)["images"] != row["images"])
      wrong.push_back(id + ": not as many photographs as " + (*at->second)["id"].get<std::string>());
  }
}

// Both groups of an attribute make the whole that a row is of.
void wrong_groups(const json& report, const AuditConfig& config, List& wrong) {
  using Key = std::vector<std::string>;
  std::map<Key, std::map<bool, const json*>> groups;
  for (const json& g : report["groups"]) {
    const Key key{g["protection"], g["attacker"], g.value("variant", ""), g["attribute"], g["measure"]};
    const std::string name = key[0] + ", " + key[1] + ": " + key[3];
    if (!groups[key].emplace(g["has"], &g).second) wrong.push_back("groups: " + name + " is there twice");
    if (std::ranges::find(config.attributes, key[3]) == config.attributes.end())
      wrong.push_back("groups: " + name + " is no attribute of the settings");
    if (g["images"] < kFewest) wrong.push_back("groups: " + name + " is of too few photographs");
  }
  for (const auto& [key, of] : groups) {
    const auto& [protection, attacker, variant, attribute, measure] =
        std::tie(key[0], key[1], key[2], key[3], key[4]);
    const std::string name = "groups: " + protection + ", " + attacker + ": " + attribute + ", " + measure;
    const json* row = nullptr;
    for (const json& r : report["rows"]) {
      if (r["protection"] != protection || r["attacker"] != attacker || r["seed"] != config.seed ||
          (r["features"] != "raw" && r["features"] != "protected"))
        continue;
      if (attacker == "linkage" ? r["variant"] == variant
                                : attacker != "attributes" || r["variant"].get<std::string>() == variant)
        row = &r;
    }
    if (!row) {
      wrong.push_back(name + " is of no row");
      continue;
    }
    const std::string as = measure == "ssim" ? "ssim_as_is" : measure;
    if (attacker == kAccuracy) continue;  // of pairs, whose photographs may lie in two groups
    const int64_t all = row->value("images", int64_t(0));
    double images = 0, sum = 0;
    for (const auto& [has, group] : of) {
      images += (*group)["images"].get<double>();
      sum += (*group)["images"].get<double>() * (*group)["value"]["mean"].get<double>();
    }
    if (of.size() == 2 ? images != double(all) : images > double(all))
      wrong.push_back(name + ": its photographs are not those of the row");
    else if (of.size() == 2 && as != "balanced_accuracy" &&  // a mean over classes, which do not add up
             (!(*row)["measures"].contains(as) || !is_near(sum / images, mean_of(*row, as.c_str()))))
      wrong.push_back(name + ": both groups together are not what the row says");
  }
}

// A step whose need failed says so, and of those that it needs; others say why themselves.
void wrong_reasons(const json& report, List& wrong) {
  std::map<std::string, std::string> ids;  // by hash
  std::set<std::string> failed;
  for (const json& step : report["steps"]) {
    ids[step["hash"]] = step["id"];
    if (step["seconds"].is_null() != step["peak_memory_bytes"].is_null())
      wrong.push_back(step["id"].get<std::string>() + " was run and was not");
    if (step["seconds"].is_null() && step.contains("rest"))
      wrong.push_back(step["id"].get<std::string>() + " came to rest and was not run");
  }
  for (const json& f : report["failed"]) failed.insert(f["step"]);
  for (const json& f : report["failed"]) {
    const std::string id = f["step"], reason = f["reason"];
    if (reason.empty()) wrong.push_back(id + " failed without a reason");
    List needs;
    for (const json& step : report["steps"])
      if (step["id"] == id)
        for (const json& hash : step["needs"])
          if (const auto at = ids.find(hash); at != ids.end() && failed.contains(at->second))
            needs.push_back("needs \"" + at->second + "\", which failed");
    const bool says = reason.starts_with("needs \"") && reason.ends_with("\", which failed");
    if ((says || !needs.empty()) && std::ranges::find(needs, reason) == needs.end())
      wrong.push_back("why " + id + " failed is not what failed before it");
  }
}

// Each protection and attacker of the settings was measured, failed or was left out.
void wrong_matrix(const json& report, const AuditConfig& config, List& wrong) {
  std::set<std::pair<std::string, std::string>> there;
  for (const char* list : {"rows", "unmeasured", "left_out"})
    for (const json& one : report[list]) there.emplace(one["protection"], one["attacker"]);
  for (const AuditProtection& p : config.protections) {
    List asked = config.attackers;
    asked.insert(asked.end(), {kAccuracy, kStored});
    for (const std::string& attacker : asked)
      if (!there.contains({p.name, attacker}))
        wrong.push_back(p.name + ", " + attacker + " was neither measured nor left out nor has it failed");
  }
}

}  // namespace

List contradictions(const json& report, const AuditConfig& config) {
  List wrong;
  for (const json& row : report["rows"]) {
    wrong_measures(report, config, row, wrong);
    wrong_counts(report, row, wrong);
  }
  wrong_images(report, config, wrong);
  wrong_groups(report, config, wrong);
  wrong_reasons(report, wrong);
  wrong_matrix(report, config, wrong);
  if (report.value("programs", json::object()).value("audit", "") == own_digest() &&
      report["program"] != std::string("advface-audit ") + kProgramVersion)
    wrong.push_back("the program is called " + report["program"].get<std::string>());
  return wrong;
}

List not_at_rest(const json& report, const AuditConfig& config, const AuditPlan& plan, bool& is_known) {
  List wrong;
  is_known = true;
  for (const json& row : report["rows"]) {
    const auto pair = std::ranges::find_if(plan.pairs, [&](const AuditPair& p) {
      return p.protection == row["protection"] && p.attacker == row["attacker"] && p.seed == row["seed"];
    });
    if (pair == plan.pairs.end() && must_rest(row)) continue;  // told by wrong_rows()
    json training;
    bool told = true;
    if (must_rest(row) && pair->trained >= 0) {
      const json& step = report["steps"][size_t(pair->trained)];
      told = step["seconds"].is_null() || step.contains("rest");
      training = told ? step.value("rest", json()) : json::object();
    }
    const AtRest rest = must_rest(row) ? at_rest(config, *pair, row, training) : AtRest{};
    if (!told && rest.yes) {
      is_known = false;
      continue;
    }
    if (row["converged"] != rest.yes)
      wrong.push_back(row["id"].get<std::string>() + (rest.yes ? " has converged" : " has not converged: ") +
                      rest.why_not);
  }
  return wrong;
}

}  // namespace advf::tools
