#include "tools/audit/audit_verdict.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <optional>

#include "advface/core/normal_distribution.h"
#include "tools/audit/audit_rows.h"

namespace advf::tools {
namespace {

using nlohmann::json;

std::string number(double value, int digits = 3) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string interval(const json& v, int digits = 3) {
  std::string text = number(v["mean"], digits);
  if (v.contains("low")) text += " [" + number(v["low"], digits) + ", " + number(v["high"], digits) + "]";
  return text;
}

// Behind the name of an attacker who is cited and does not count (docs/audit.md).
constexpr const char* kFoundIt = ", who does not count by what it gets of raw features but has found it,";
constexpr double kSignificant = 0.05;
// An interval over fewer says little. Of an attribute those count who are fewer, with it or without.
constexpr int kFewestPhotographs = 20;
bool is_of_few(const json& row) {
  if (!row.contains("images")) return false;
  const double share = row.contains("majority_share") ? 1 - row["majority_share"].get<double>() : 1;
  return std::round(row["images"].get<double>() * share) < kFewestPhotographs;
}
// Who is held for closed is shown to let less than this share of the way from nothing to raw features
// through.
constexpr double kSmallShare = 0.2;

class Judge {
 public:
  Judge(const json& rows, std::string raw, const json& unmeasured)
      : rows_(rows), unmeasured_(unmeasured), raw_(std::move(raw)) {}

  // What somebody reaches who has no feature, over the same photographs.
  std::optional<json> nothing(const LeakMeasure& m, const json& row) const {
    if (m.measure == "balanced_accuracy" || m.measure == "auc" || m.measure == "accuracy")
      return json{{"mean", 0.5}};  // who guesses
    if (row.contains("chance") && row["chance"].contains(m.measure)) return row["chance"][m.measure];
    for (const json& reference : rows_)
      if (reference["attacker"] == "mean face" && reference["measures"].contains(m.measure) &&
          (!reference.contains("variant") || reference["variant"] == on_raw(row)))
        return reference["measures"][m.measure];
    return {};
  }

  // What attackers get of raw features, of those who count if there are such; of attributes of the same one.
  std::optional<json> raw(const LeakMeasure& m, const json& row) const {
    if (m.measure == "d_sys") return json{{"mean", 1.0}};
    std::optional<json> best;
    bool best_counts = false;
    for (const json& r : rows_) {
      if (r["protection"] != raw_ || r["features"] != "raw") continue;
      const std::optional<json> value = measure_of(r, m);
      if (!value) continue;
      if (m.measure == "balanced_accuracy" && r["attribute"] != row["attribute"]) continue;
      const bool counts = r["counts"][m.leak] == true;
      if (!best || counts > best_counts || (counts == best_counts && (*value)["mean"] > (*best)["mean"]))
        best = value, best_counts = counts;
    }
    return best;
  }

  json verdict(const std::string& protection) const {
    json v = {{"protection", protection}, {"cost", cost(protection)}};
    bool leaks_some = false, open_question = false;
    for (const std::string& leak : leaks()) {
      json worst = {{"state", kNotAsked}};
      for (const LeakMeasure& m : leak_measures())
        if (m.leak == leak)
          if (json one = by(protection, m); rank(one["state"]) > rank(worst["state"])) worst = std::move(one);
      if (failed(protection, leak) && rank(worst["state"]) < rank(kNoConclusion))
        worst = {{"state", kNoConclusion}, {"said", "an attacker could not be run"}};
      if (worst["state"] == kClosed && (leak == "appearance" || leak == "identity") &&
          !adapted(protection, leak)) {
        worst["state"] = kNoConclusion;
        worst["said"] = "nobody who adapts to it was asked";
      }
      const std::string state = worst["state"];
      // Not every set of photographs comes with attributes; the rest can always be asked.
      open_question |= state == kNotAsked && leak != "attributes";
      leaks_some |= state == kPartly || state == kOpen;
      open_question |= state == kNoConclusion;
      v["leaks"][leak] = std::move(worst);
    }
    v["verdict"] = leaks_some ? "leaks" : open_question ? "no conclusion" : "holds";
    v["sentence"] = sentence(v);
    return v;
  }

 private:
  static int rank(const std::string& state) {
    const char* order[] = {kNotAsked, kClosed, kNoConclusion, kPartly, kOpen};
    for (int i = 0; i < 5; ++i)
      if (state == order[i]) return i;
    return 0;
  }

  bool failed(const std::string& protection, const std::string& leak) const {
    for (const json& one : unmeasured_) {
      if (one["protection"] != protection) continue;
      for (const AuditAttacker& a : audit_attackers())
        if (one["attacker"] == a.name && (a.leak == leak || (a.leak == "identity" && leak == "appearance") ||
                                          (a.leak == "appearance" && leak == "identity")))
          return true;
    }
    return false;
  }

  // Whether a decoder was asked that is trained on what is stored.
  bool adapted(const std::string& protection, const std::string& leak) const {
    return std::ranges::any_of(rows_, [&](const json& r) {
      return r["protection"] == protection && r["features"] == "protected" && r["attacker"] == "adaptive" &&
             r["counts"].contains(leak);
    });
  }

  static std::optional<json> measure_of(const json& row, const LeakMeasure& m) {
    if (!row["counts"].contains(m.leak)) return {};
    const std::optional<JudgedValue> judged = judged_value(row["measures"], m);
    return judged ? std::optional<json>(judged->value) : std::nullopt;
  }

  static std::string on_raw(const json& row) { return attacker_on_raw(row["attacker"]); }

  // Whether an attacker has shown on raw features that it can tell something by this measure.
  bool speaks(const LeakMeasure& m, const json& row, const json& none) const {
    if (row["counts"][m.leak] == false) return false;
    if (m.leak != "appearance" && m.leak != "identity") return true;
    bool asked = false;
    for (const json& r : rows_) {
      if (r["protection"] != raw_ || r["features"] != "raw" || r["attacker"] != on_raw(row)) continue;
      const std::optional<json> value = measure_of(r, m);
      const bool paired = r.contains("above") && r["above"].contains(m.measure);
      if (value && (paired ? low_end(r["above"][m.measure]) > 0 : low_end(*value) > high_end(none)))
        return true;
      asked |= value.has_value();
    }
    return !asked;
  }

  // Why nobody learns that there is nothing from an attacker who found nothing and says to be at rest; empty
  // where one does. What it can tell was shown on raw features by somebody who was at rest himself. And a
  // decoder that adapts to what is stored has the mean face to begin with: one that draws less has learnt
  // nothing yet, as on the first plateau of a short training.
  std::string not_learnt(const LeakMeasure& m, const json& row, double above_nothing) const {
    if (row["converged"] != true) return row["why_not"];
    if (m.leak != "appearance" && m.leak != "identity") return "";
    if (row["attacker"] == "adaptive" && m.leak == "appearance" && above_nothing < -m.tolerance)
      return "it draws less than the mean face: it has learnt nothing yet";
    const json* shown = nullptr;
    for (const json& r : rows_) {
      if (r["protection"] != raw_ || r["features"] != "raw" || r["attacker"] != on_raw(row)) continue;
      if (!measure_of(r, m)) continue;
      if (r["converged"] == true) return "";
      shown = &r;
    }
    return shown ? "on raw features: " + (*shown)["why_not"].get<std::string>() : "";
  }

  json by(const std::string& protection, const LeakMeasure& m) const {
    const json* worst = nullptr;
    std::string worst_state;
    bool asked = false;
    json told = {{"state", kNotAsked}, {"measure", m.measure}};
    for (const json& r : rows_) {
      if (r["protection"] != protection || r["features"] != "protected") continue;
      const std::optional<json> value = measure_of(r, m);
      if (!value) continue;
      asked = true;
      const std::optional<json> one = judged(r, m, *value);
      if (!one) continue;
      const bool worse = !worst || rank((*one)["state"]) > rank(worst_state) ||
                         ((*one)["state"] == worst_state && (*value)["mean"] > told["value"]["mean"]);
      if (!worse) continue;
      worst = &r;
      worst_state = (*one)["state"];
      told = *one;
    }
    if (!asked) return told;
    if (!worst) return {{"state", kNoConclusion}, {"measure", m.measure}, {"said", "no attacker counts"}};
    return told;
  }

  // How many are asked about a protection, each of whom may find something by chance: every probe of every
  // attribute, with every seed. Of the other leaks a few are asked, whose intervals stand as they are;
  // p-values of linkers have been corrected where they were made (audit_rows.cpp).
  int64_t asked_alike(const json& row, const LeakMeasure& m) const {
    if (m.leak != "attributes") return 1;
    return std::ranges::count_if(rows_, [&](const json& r) {
      return r["protection"] == row["protection"] && r["features"] == row["features"] && measure_of(r, m);
    });
  }
  // How many times wider than one of 95 % an interval is of which so many hold together with 95 %: each
  // misses with a share of the 5 % (Bonferroni). Of a distribution near the normal one, as means over people
  // have.
  static double wider(int64_t asked) {
    return normal_quantile(1 - kSignificant / 2 / double(std::max<int64_t>(asked, 1))) /
           normal_quantile(1 - kSignificant / 2);
  }

  // Nothing of who neither counts nor has found anything.
  std::optional<json> judged(const json& r, const LeakMeasure& m, const json& value) const {
    const std::optional<json> none = nothing(m, r), all = raw(m, r);
    json one = {{"measure", m.measure}, {"worst", r["id"]}, {"attacker", r["attacker"]}, {"value", value}};
    if (judged_value(r["measures"], m)->turned) one["turned"] = true;
    if (!none || !all) {
      if (r["counts"][m.leak] == false) return {};
      one["state"] = kNoConclusion;
      one["said"] = "there is nothing to compare it with";
      return one;
    }
    const bool few = is_of_few(r);
    const double mean = value["mean"], from = (*none)["mean"], to = (*all)["mean"];
    // What lies above nothing: over the same photographs, where the row has it.
    const json* above =
        r.contains("above") && r["above"].contains(m.measure) ? &r["above"][m.measure] : nullptr;
    const double least = above ? low_end(*above) : low_end(value) - high_end(*none);
    const double most = above ? high_end(*above)
                        : !m.beyond.empty() && r["measures"].contains(m.beyond)
                            ? high_end(r["measures"][m.beyond])
                        : m.either_way ? std::max(high_end(value) - from, from - low_end(value))
                                       : high_end(value) - from;
    // Below the mean by more than the interval's own end where many are asked.
    const double surely = least - (wider(asked_alike(r, m)) - 1) * (mean - from - least);
    const bool found = !few && (r.contains("p_value") ? r["p_value"] <= kSignificant : surely > 0);
    const bool counts = speaks(m, r, *none);
    if (!found && !counts) return {};
    if (!counts) one["counts"] = false;
    one["nothing"] = *none;
    one["raw"] = *all;
    one["share"] = to > from ? std::clamp((mean - from) / (to - from), 0.0, 1.0) : found ? 1.0 : 0.0;
    // Where nothing has an interval of its own that is no draw of the same photographs (shuffled pairs), what
    // lies within it is nothing.
    const double margin = kSmallShare * std::max(to - from, 0.0),
                 chance = above ? 0.0 : high_end(*none) - from;
    const bool near = (above ? (*above)["mean"].get<double>() : mean - from) <=
                      std::max(std::min(m.tolerance, margin), chance);
    const bool small = most <= std::max(margin, chance);
    const std::string unlearnt =
        not_learnt(m, r, above ? high_end(*above) : high_end(value) - low_end(*none));
    if (near && small && !few && unlearnt.empty()) {
      one["state"] = kClosed;
    } else if (near || !found) {
      one["state"] = kNoConclusion;
      one["said"] = few                         ? "asked about too few photographs"
                    : near && !unlearnt.empty() ? unlearnt
                                                : "too few photographs to tell it from nothing";
    } else {
      one["state"] = high_end(value) >= low_end(*all) || mean >= to ? kOpen : kPartly;
    }
    return one;
  }

  json cost(const std::string& protection) const {
    json c = json::object();
    const auto take = [&](const std::string& of, const char* attacker, const char* measure, const char* as,
                          const char* which = "mean") {
      for (const json& r : rows_)
        if (r["protection"] == of && r["attacker"] == attacker && r["measures"].contains(measure)) {
          c[as] = r["measures"][measure][which];
          return;
        }
    };
    take(raw_, kAccuracy, "accuracy", "accuracy_raw");
    take(protection, kAccuracy, "accuracy", "accuracy");
    take(raw_, kStored, "bytes", "bytes_raw");
    take(protection, kStored, "bytes", "bytes");
    take(protection, kStored, "ms", "ms");
    if (c.contains("accuracy") && c.contains("accuracy_raw"))
      c["loss"] = c["accuracy_raw"].get<double>() - c["accuracy"].get<double>();
    take(protection, kAccuracy, "accuracy_loss", "loss");  // over the same pairs, where it is known
    take(protection, kAccuracy, "accuracy_loss", "loss_low", "low");
    take(protection, kAccuracy, "accuracy_loss", "loss_high", "high");
    return c;
  }

  static std::string sentence(const json& v) {
    std::string text = in_quotes(v["protection"]) + ": ";
    bool first = true;
    for (const std::string& leak : leaks()) {
      const json& l = v["leaks"][leak];
      const std::string state = l["state"];
      text += (first ? "" : "; ") + leak + " " + state;
      first = false;
      if (l.contains("value"))
        text += " (" + l["attacker"].get<std::string>() + (l.contains("counts") ? kFoundIt : ",") + " " +
                l["measure"].get<std::string>() + " " + interval(l["value"]) +
                (l.contains("turned") ? " by scores turned round" : "") +
                (l.contains("nothing") ? "; without a feature " + number(l["nothing"]["mean"]) + ", raw " +
                                             number(l["raw"]["mean"])
                                       : "") +
                ")";
      else if (l.contains("said"))
        text += " (" + l["said"].get<std::string>() + ")";
    }
    const json& c = v["cost"];
    if (c.contains("loss"))
      text += ". Recognition: accuracy " + number(c["accuracy"], 4) + " of " + number(c["accuracy_raw"], 4);
    if (c.contains("loss_low"))
      text += c["loss"] < 0
                  ? ", a gain between " + number(-c["loss_high"].get<double>(), 4) + " and " +
                        number(-c["loss_low"].get<double>(), 4)
                  : ", a loss between " + number(c["loss_low"], 4) + " and " + number(c["loss_high"], 4);
    return text + ".";
  }

  const json &rows_, &unmeasured_;
  const std::string raw_;
};

std::optional<double> mean_if(const std::optional<json>& value) {
  return value ? std::optional<double>((*value)["mean"].get<double>()) : std::nullopt;
}

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i)
    text += (i == 0 ? "" : i + 1 == names.size() ? " and " : ", ") + names[i];
  return text;
}

// Of who holds.
std::string not_asked(const json& verdicts) {
  for (const json& v : verdicts)
    if (v["verdict"] == "holds" && v["leaks"]["attributes"]["state"] == kNotAsked)
      return " (attributes were not asked about)";
  return "";
}

}  // namespace

BesideRow beside_row(const json& report, const json& row, const LeakMeasure& m) {
  const json none = json::array();
  const Judge judge(report["rows"], report["protections"][0]["name"], none);
  return {mean_if(judge.nothing(m, row)), mean_if(judge.raw(m, row))};
}

json audit_verdicts(const json& rows, const std::vector<std::string>& protections, const json& unmeasured) {
  json list = json::array();
  const Judge judge(rows, protections.at(0), unmeasured);
  for (size_t i = 1; i < protections.size(); ++i) list.push_back(judge.verdict(protections[i]));
  return list;
}

void note_undone(json& verdicts, const json& protections) {
  for (json& v : verdicts)
    for (const json& p : protections) {
      if (p["name"] != v["protection"] || !p.contains("undone_by")) continue;
      const std::string why = p["undone_by"];
      v["undone_by"] = why;
      if (v["verdict"] == "holds") v["verdict"] = "no conclusion";
      v["sentence"] =
          v["sentence"].get<std::string>() + " No attacker here does what can be done at once: " + why + ".";
    }
}

std::vector<std::string> audit_summary(const json& verdicts, const json& report) {
  std::map<std::string, std::vector<std::string>> by;
  for (const json& v : verdicts) by[v["verdict"]].push_back(in_quotes(v["protection"]));
  std::vector<std::string> said;
  if (!by["holds"].empty())
    said.push_back("Against every attacker that was tried, " + listed(by["holds"]) +
                   (by["holds"].size() == 1 ? " gives" : " give") +
                   " away no more than somebody learns who has no feature at all" + not_asked(verdicts) +
                   ".");
  else
    said.push_back(
        (verdicts.size() == 1
             ? std::string("The protection that was tried is not")
             : "None of the " + std::to_string(verdicts.size()) +
                   " that were tried (each protection, and a locked one with its key leaked as well) is") +
        " shown to keep everything from every attacker.");
  if (!by["leaks"].empty()) {
    // The one that lets most through, of the strongest attacker.
    const json* worst = nullptr;
    std::string leak_name;
    for (const json& v : verdicts)
      for (const auto& [leak, l] : v["leaks"].items())
        if (l.contains("share") && (l["state"] == kOpen || l["state"] == kPartly))
          if (!worst || l["share"] > (*worst)["share"])
            worst = &l, leak_name = in_quotes(v["protection"]) + " lets " + leak;
    std::string text = listed(by["leaks"]) + (by["leaks"].size() == 1 ? " leaks" : " leak");
    if (worst)
      text += "; at worst " + leak_name + " through: the attacker " +
              (*worst)["attacker"].get<std::string>() + (worst->contains("counts") ? kFoundIt : "") +
              " gets " + number(100 * (*worst)["share"].get<double>(), 0) +
              " % of the way from nothing to unprotected features";
    said.push_back(text + ".");
  } else if (!by["holds"].empty()) {
    said.push_back("No attacker got anything of a protected feature that was not known without it.");
  } else {
    said.push_back("Nothing was found, which says nothing: not enough was asked, or by nobody who counts.");
  }
  std::string limits;
  std::vector<std::string> undone;
  for (const json& v : verdicts)
    if (v.contains("undone_by")) undone.push_back(in_quotes(v["protection"]));
  if (!undone.empty())
    limits = "Whoever knows the seed undoes " + listed(undone) + ", which no attacker here was told. ";
  if (!by["no conclusion"].empty())
    limits += "Nothing can be concluded of " + listed(by["no conclusion"]) + ": see why below. ";
  if (report.contains("converges") && report["converges"] == false)
    limits +=
        "This was a quick audit whose attackers have not converged: what it found is found, what it did not "
        "find says nothing.";
  else
    limits +=
        "A protection is worth the strongest attacker so far; whoever comes tomorrow with more photographs "
        "or another idea was not tried.";
  said.push_back(limits);
  return said;
}

}  // namespace advf::tools
