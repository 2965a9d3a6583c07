// The results of an audit's steps as rows of one form, which the verdict, the pages and comparisons read.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>

#include "tools/audit/audit_people.h"
#include "tools/audit/audit_plan.h"
#include "tools/audit/step_runner.h"

namespace advf::tools {

// What is learned of a person, and by which measures; the higher, the more.
struct LeakMeasure {
  std::string leak, measure;
  std::string says;         // for people: "similarity of pictures (SSIM)"
  double tolerance = 0;     // what lies no further above who knows nothing is the same
  int digits = 3;           // behind the point
  std::string beyond = "";  // the measure that has the interval of what lies above nothing; empty: this one
  bool drawn = true;        // over what it costs
  // Of pairs that are told from others, of which half is guessing: who knows the protection tries both signs
  // of a score on people of his own, so that what lies below half tells as much as what lies above.
  bool either_way = false;
};
const std::vector<LeakMeasure>& leak_measures();
// A row's value by which a leak is judged; turned: of scores that take the other sign. None where the row has
// not the measure.
struct JudgedValue {
  nlohmann::json value;
  bool turned = false;
};
std::optional<JudgedValue> judged_value(const nlohmann::json& measures, const LeakMeasure& m);
// The accuracy of a matcher whose sign the other folds choose as well, where some of them choose the other
// one.
inline constexpr const char* kAccuracyEitherWay = "accuracy_either_way";
const std::vector<std::string>& leaks();  // in the order of a report
// Ends of an interval {mean, low, high}; of a value without one the value.
double low_end(const nlohmann::json& value);
double high_end(const nlohmann::json& value);

// "AdvFace/adaptive/protected": protection, attacker, the variant where there are several, features, and the
// seed where an audit has several; of a reference that has no feature (the mean face) its own name, and of
// which attacker it stands beside.
std::string row_id(const nlohmann::json& row, bool several_seeds);
// A protection's name as sentences and tables have it, between quotation marks, which no name holds: whatever
// it says, it is not taken for what is said of it.
std::string in_quotes(const std::string& name);
// Who tells on raw features how an attacker does: the same one; of who adapts, the decoder that did not.
std::string attacker_on_raw(const std::string& attacker);
// Of raw features with this attacker and seed, beside which a pair is judged; null where there is none.
const AuditPair* pair_on_raw(const AuditConfig& config, const AuditPlan& plan, const AuditPair& pair);

// A list, by protection, attacker and seed in the order of the plan. Each row: `id`; `protection`;
// `attacker`; `variant`, where an attacker has several; `features` (raw, protected, noise, identity, none);
// `seed`; `images`; `measures`, by name {mean, low, high} (only mean where there is no interval); `counts`,
// by leak, whether the attacker may say something about it; `above`, by measure {mean, low, high} of what
// lies above who has no feature, paired over the same photographs, where they are known one by one;
// `why_not`, where it may not; `converged`; `step` (hash), `command`, `seconds`. people, where given: gets
// what of protected features is a mean over people.
nlohmann::json audit_rows(const AuditConfig& config, const AuditPlan& plan, const StepRunner& runner,
                          PeopleValues* people = nullptr);

}  // namespace advf::tools
