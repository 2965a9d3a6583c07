#include "tools/audit/at_rest.h"

#include <algorithm>
#include <vector>

namespace advf::tools {
namespace {

using nlohmann::json;

// Of these the gain of more was small where it was measured (docs/results.md).
constexpr int64_t kStepsOfAscent = 40, kQueries = 500;
// A network that links learns for so many epochs at least, and is at rest where the last fifth of them takes
// no more than this share from the best loss of validation.
constexpr int64_t kFewestEpochs = 8;
constexpr double kRest = 0.02;

AtRest linkage_at_rest(const std::vector<double>& losses) {
  const auto n = int64_t(losses.size());
  if (n < kFewestEpochs)
    return {false, "its network learns for fewer than " + std::to_string(kFewestEpochs) + " epochs"};
  const double before = *std::min_element(losses.begin(), losses.begin() + (n - n / 5));
  const double best = *std::min_element(losses.begin(), losses.end());
  if (best >= before * (1 - kRest)) return {};
  return {false, "its network has not come to rest; give it more epochs"};
}

}  // namespace

json rest_of_training(const json& result) {
  if (result.contains("flat")) return {{"verdict", result["flat"]["verdict"]}};
  if (!result.contains("history")) return json::object();
  json losses = json::array();
  for (const json& epoch : result["history"]) losses.push_back(epoch.value("validation_loss", 0.0));
  return {{"validation_losses", std::move(losses)}};
}

bool must_rest(const json& row) {
  const std::string attacker = row["attacker"], variant = row["variant"];
  if (row["features"] == "none" || attacker == kAccuracy || attacker == kStored || attacker == kCertificate)
    return false;
  if (attacker == "linkage") return variant == "a network";
  if (attacker == "unlinkability") return variant.starts_with("network, ");
  return true;
}

AtRest at_rest(const AuditConfig& c, const AuditPair& pair, const json& row, const json& training) {
  if (!must_rest(row)) return {};
  if (!c.size_row().converges) return {false, "a quick audit's attackers have not converged"};
  const bool climbs = pair.attacker == "inversion" || pair.attacker == "corrected";
  if (climbs && c.budget.inversion_steps < kStepsOfAscent)
    return {false, "its ascent takes fewer than " + std::to_string(kStepsOfAscent) + " steps"};
  if (pair.attacker == "oracle" && c.budget.oracle_queries < kQueries)
    return {false, "it asks fewer than " + std::to_string(kQueries) + " times"};
  if (pair.attacker == "unlinkability" && c.budget.linkage_epochs < kFewestEpochs)
    return {false, "its networks learn for fewer than " + std::to_string(kFewestEpochs) + " epochs"};
  if (pair.trained < 0) return {};
  if (training.is_null()) return {false, "its training failed"};
  if (training.contains("validation_losses"))
    return linkage_at_rest(training["validation_losses"].get<std::vector<double>>());
  if (!training.contains("verdict")) return {};
  const std::string verdict = training["verdict"];
  if (verdict.starts_with("settled") || verdict == "flat") return {};
  return {false, "its training has not come to rest (" + verdict + "); give it more epochs"};
}

}  // namespace advf::tools
