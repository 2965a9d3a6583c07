// What an audit concludes of its rows, by rules that docs/audit.md writes down. It reads rows alone, so that
// they can be judged again by others.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "tools/audit/audit_rows.h"

namespace advf::tools {

// How much a protection lets through.
//   "closed"         the strongest attacker who counts is where somebody is who has no feature
//   "partly"         between that and raw features
//   "open"           not told from raw features
//   "no conclusion"  nobody counts who could say so, or who found nothing has not converged
//   "not asked"      no attacker of the audit is after it
inline constexpr const char* kClosed = "closed";
inline constexpr const char* kPartly = "partly";
inline constexpr const char* kOpen = "open";
inline constexpr const char* kNoConclusion = "no conclusion";
inline constexpr const char* kNotAsked = "not asked";

// protections: names in the order of the report; the first is that of raw features. unmeasured: a list of
// {`protection`, `attacker`} that were to be measured and failed: of what they are after nothing is
// concluded. A list, an entry for each of the others: `protection`; `verdict` ("holds", "leaks", "no
// conclusion"); `leaks`, by leak {`state`, `measure`, `worst` (id of a row), `value`, `nothing` (who has no
// feature), `raw`, `share` of the way from nothing to raw, `turned`, `said`}; `cost`
// {`accuracy_raw`, `accuracy`, `loss` (with its interval `loss_low`, `loss_high`), `bytes`, `bytes_raw`,
// `ms`}; `sentence`.
nlohmann::json audit_verdicts(const nlohmann::json& rows, const std::vector<std::string>& protections,
                              const nlohmann::json& unmeasured = nlohmann::json::array());
// By the measure of a row: what somebody reaches who has no feature, and what attackers reach of raw
// features.
struct BesideRow {
  std::optional<double> nothing, raw;
};
BesideRow beside_row(const nlohmann::json& report, const nlohmann::json& row, const LeakMeasure& m);
// Says of each protection who undoes it (`undone_by` of `protections`), in its entry and its sentence. One
// that anybody undoes who knows a number does not hold, whatever attackers reach who were not told it.
void note_undone(nlohmann::json& verdicts, const nlohmann::json& protections);
// Three sentences: what holds, what is worst, and what this audit cannot say.
std::vector<std::string> audit_summary(const nlohmann::json& verdicts, const nlohmann::json& report);

}  // namespace advf::tools
