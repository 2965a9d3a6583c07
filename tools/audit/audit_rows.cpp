#include "tools/audit/audit_rows.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "advface/core/dataset.h"
#include "advface/core/text_file.h"
#include "tensor/io/npy.h"
#include "tools/audit/at_rest.h"
#include "tools/audit/pair_decisions.h"
#include "tools/audit/score_table.h"
#include "tools/audit/step_command.h"

namespace advf::tools {
namespace {

using nlohmann::json;

json only(double value) { return {{"mean", value}}; }
bool is_interval(const json& value) {
  return value.is_object() && value.contains("mean") && value["mean"].is_number();
}

class Collector {
 public:
  Collector(const AuditConfig& config, const AuditPlan& plan, const StepRunner& runner, PeopleValues* people)
      : c_(config), plan_(plan), runner_(runner), people_(people) {}

  json rows() {
    for (const AuditPair& pair : plan_.pairs) {
      const json* result = result_of(pair.step);
      if (!result) continue;
      const std::string& a = pair.attacker;
      if (a == kAccuracy)
        accuracy(pair, *result);
      else if (a == kStored)
        stored(pair, *result);
      else if (a == kCertificate)
        certificate(pair, *result);
      else if (a == "linkage")
        linkage(pair, *result);
      else if (a == "unlinkability")
        unlinkability(pair, *result);
      else if (a == "attributes")
        attributes(pair, *result);
      else
        reconstruction(pair, *result);
    }
    return std::move(rows_);
  }

 private:
  const json* result_of(int64_t step) {
    const auto done = runner_.result(step);
    if (!done) return nullptr;
    const auto [at, fresh] = results_.try_emplace(step);
    if (fresh) at->second = json::parse(read_text(done->folder + "/result.json"));
    return &at->second;
  }
  const ScoreTable& scores_of(int64_t step) {
    const auto [at, fresh] = scores_.try_emplace(step);
    if (fresh) at->second = ScoreTable::read(runner_.folder(step) + "/scores.tsv");
    return at->second;
  }
  // The values of single people behind a measure of protected features: of those lines that hold these
  // texts. present: the column of the class, of a mean over classes.
  using Texts = std::vector<std::pair<const char*, std::string>>;
  void note_people(const json& r, int64_t step, const std::string& measure, const std::string& column,
                   const Texts& wanted, const std::string& present = "") {
    if (!people_ || r["features"] != "protected" || !r["measures"].contains(measure)) return;
    const ScoreTable& scores = scores_of(step);
    if (!scores.has(column)) return;
    for (size_t i = 0; i < scores.size(); ++i)
      if (std::ranges::all_of(wanted, [&](const auto& w) { return scores.text(i, w.first) == w.second; }))
        people_->add(r["id"], measure, person_key(scores.text(i, "person")),
                     present.empty() ? 0 : size_t(scores.number(i, present) != 0), scores.number(i, column));
  }
  const json* raw_result(const AuditPair& pair) {
    const AuditPair* raw = pair_on_raw(c_, plan_, pair);
    return raw ? result_of(raw->step) : nullptr;
  }

  json row(const AuditPair& pair, const std::string& features, const std::string& variant = "") {
    const auto done = runner_.result(pair.step);
    json r = {{"protection", pair.protection},
              {"attacker", pair.attacker},
              {"variant", variant},
              {"features", features},
              {"seed", pair.seed},
              {"measures", json::object()},
              {"counts", json::object()},
              {"why_not", nullptr},
              {"converged", true},
              {"step", plan_.steps[size_t(pair.step)].hash},
              {"command", pasted_command(plan_, pair.step)},
              {"seconds", done->seconds}};
    r["id"] = row_id(r, c_.budget.seeds > 1);
    return r;
  }
  void judge(json& r, const AuditPair& pair) {
    const json* training = pair.trained < 0 ? nullptr : result_of(pair.trained);
    const AtRest rest = at_rest(c_, pair, r, training ? rest_of_training(*training) : json());
    r["converged"] = rest.yes;
    if (!rest.yes) r["why_not"] = rest.why_not;
  }

  void accuracy(const AuditPair& pair, const json& result) {
    json r = row(pair, pair.protection == c_.protections[0].name ? "raw" : "protected");
    const PairDecisions& mine = decisions(pair.step);
    r["measures"]["accuracy"] = accuracy_interval(mine, mine.plain, c_.seed);
    // Without a key whoever has the records compares them as the deployed matcher does, or the other way
    // round where that tells more.
    if (!is_locked(pair.protection)) r["counts"] = {{"linkability", true}};
    if (!is_locked(pair.protection) && mine.turns())
      r["measures"][kAccuracyEitherWay] = accuracy_interval(mine, mine.either_way, c_.seed);
    note_decisions(r, pair);
    r["measures"]["tar_at_far_1e-3"] = only(result["tar_at_far"]["1e-3"]);
    r["measures"]["tar_at_far_1e-2"] = only(result["tar_at_far"]["1e-2"]);
    r["measures"]["eer"] = only(result["eer"]);
    r["images"] = result["pairs"];
    rows_.push_back(std::move(r));
  }

  // Nobody who attacks has its key.
  bool is_locked(const std::string& protection) const {
    for (const AuditProtection& p : c_.protections)
      if (p.name == protection) return p.locked() && p.unlocked.empty();
    return false;
  }

  // What each pair of photographs comes to, as one of the person in the gallery, and what the protection
  // costs beside raw features: paired, as both were asked about the same pairs.
  void note_decisions(json& r, const AuditPair& pair) {
    const PairDecisions& mine = decisions(pair.step);
    for (size_t i = 0; people_ && i < mine.person.size(); ++i)
      people_->add(r["id"], kAccuracy, mine.person[i], 0, mine.plain.right[i]);
    if (r["features"] == "raw") return;
    const AuditPair* other = pair_on_raw(c_, plan_, pair);
    if (!other || !result_of(other->step)) return;
    const PairDecisions& raw = decisions(other->step);
    if (raw.files != mine.files) return;  // of other pairs, as photographs could not be read
    std::vector<double> lost;
    for (size_t i = 0; i < mine.person.size(); ++i)
      lost.push_back(double(raw.plain.right[i]) - mine.plain.right[i]);
    const Interval loss = bootstrap_mean(lost, mine.person, c_.seed);
    r["measures"]["accuracy_loss"] = {{"mean", loss.mean}, {"low", loss.low}, {"high", loss.high}};
  }
  const PairDecisions& decisions(int64_t step) {
    const auto [at, fresh] = decisions_.try_emplace(step);
    if (fresh) at->second = PairDecisions::of(scores_of(step), c_.faces);
    return at->second;
  }

  void stored(const AuditPair& pair, const json& result) {
    const bool raw = pair.protection == c_.protections[0].name;
    json r = row(pair, raw ? "raw" : "protected");
    const int64_t records = result[raw ? "images" : "records"];
    const Tensor rows = load_npy(runner_.folder(pair.step) + "/out.npy");
    r["images"] = records;
    r["measures"]["bytes"] = only(double(rows.numel()) * double(size_of(rows.dtype())) / double(records));
    r["measures"]["ms"] = only(1000 * result["seconds"].get<double>() / double(records));
    if (!raw && result.contains("mean_cosine") && result["mean_cosine"].is_number())
      r["measures"]["cosine_to_raw"] = only(result["mean_cosine"]);
    if (!raw) r["protection_id"] = result["protection"], r["proved"] = result.value("proved", json::object());
    rows_.push_back(std::move(r));
  }

  void certificate(const AuditPair& pair, const json& result) {
    json r = row(pair, "protected");
    r["certificate"] = result;
    rows_.push_back(std::move(r));
  }

  // A row of advface-evaluate reconstruction, as it is, with its moment-matched fellow.
  json measures_of(const json& from, const json* matched) const {
    json m = json::object();
    for (const char* name : {"psnr", "mse"})
      if (is_interval(from[name])) m[name] = from[name];
    m["ssim_as_is"] = from["ssim"];
    m["ssim"] = from["ssim"];
    if (matched) {
      m["ssim_matched"] = (*matched)["ssim"];
      if ((*matched)["ssim"]["mean"] > from["ssim"]["mean"]) m["ssim"] = (*matched)["ssim"];
    }
    for (const auto& [judge, value] : from["cosine"].items())
      if (is_interval(value)) m["cosine_" + judge] = value;
    for (const auto& [judge, value] : from["replay_rate"].items())
      for (const char* photo : {"same_photo", "other_photo"})
        if (is_interval(value[photo])) m["replay_" + judge + "_" + photo] = value[photo];
    // Who the pictures show is judged by who did not make them, where there is such a one.
    const std::string judge = from["cosine"].contains("second") ? "second" : "deployed";
    for (const auto& [name, source] : std::initializer_list<std::pair<const char*, std::string>>{
             {"cosine", "cosine_" + judge},
             {"replay", "replay_" + judge + "_same_photo"},
             {"replay_other_photo", "replay_" + judge + "_other_photo"}})
      if (m.contains(source)) m[name] = m[source];
    if (from.contains("cosine_of_others") && is_interval(from["cosine_of_others"][judge]))
      m["cosine_of_others"] = from["cosine_of_others"][judge];
    return m;
  }

  void reconstruction(const AuditPair& pair, const json& result) {
    const bool raw = pair.protection == c_.protections[0].name;
    for (const json& from : result["rows"]) {
      if (from["moment_matched"] == true) continue;
      const std::string who = from["attacker"], kind = from["kind"];
      // The mean face and the photograph itself, over the images that this attacker is asked about.
      if (kind == "none" && !raw) continue;
      const json* matched = nullptr;
      for (const json& other : result["rows"])
        if (other["moment_matched"] == true && other["attacker"] == who &&
            other["features"] == from["features"])
          matched = &other;
      json r = row(pair, kind, kind == "none" ? who : "");
      r["measures"] = measures_of(from, matched);
      r["images"] = result["images"];
      if (from["queries"].is_object()) r["measures"]["queries"] = only(from["queries"]["mean"]);
      if (kind == "none") {
        r["attacker"] = who, r["variant"] = pair.attacker;
        r["id"] = row_id(r, c_.budget.seeds > 1);
        r["counts"] = {{"appearance", false}, {"identity", false}};
        r["why_not"] = "a reference";
      } else {
        counts(r, pair);
        note_pictures(r, pair, from);
      }
      rows_.push_back(std::move(r));
    }
  }

  // What an attacker's pictures have above the mean face, which is looked at over the same photographs, or
  // above what they themselves have `beside` it: what photographs differ in drops out of the interval.
  void note_above(json& r, const AuditPair& pair, const std::string& measure, const std::string& column,
                  const Texts& wanted, const std::string& beside = "") {
    const ScoreTable& scores = scores_of(pair.step);
    if (!scores.has(column) || !scores.has("image")) return;
    const auto* nothing = !beside.empty() && scores.has(beside) ? nullptr : &mean_face_of(pair.step, column);
    std::vector<double> more;
    std::vector<int64_t> people;
    for (size_t i = 0; i < scores.size(); ++i) {
      if (!std::ranges::all_of(wanted, [&](const auto& w) { return scores.text(i, w.first) == w.second; }))
        continue;
      double below = 0;
      if (nothing) {
        const auto found = nothing->find(scores.text(i, "image"));
        if (found == nothing->end()) return;
        below = found->second;
      } else {
        below = scores.number(i, beside);
      }
      more.push_back(scores.number(i, column) - below);
      people.push_back(person_key(scores.text(i, "person")));
    }
    if (more.empty()) return;
    const Interval above = bootstrap_mean(more, people, c_.seed);
    r["above"][measure] = {{"mean", above.mean}, {"low", above.low}, {"high", above.high}};
  }
  // What the mean face has in this column, by photograph; all attackers of a step are held against it.
  using ByImage = std::map<std::string, double>;
  const ByImage& mean_face_of(int64_t step, const std::string& column) {
    const auto [at, fresh] = mean_face_.try_emplace({step, column});
    if (!fresh) return at->second;
    const ScoreTable& scores = scores_of(step);
    for (size_t i = 0; i < scores.size(); ++i)
      if (scores.text(i, "attacker") == "mean face")
        at->second[scores.text(i, "image")] = scores.number(i, column);
    return at->second;
  }
  double people_asked(const AuditPair& pair) {
    const ScoreTable& scores = scores_of(pair.step);
    std::set<std::string> people;
    for (size_t i = 0; i < scores.size(); ++i) people.insert(scores.text(i, "person"));
    return double(people.size());
  }

  void note_pictures(json& r, const AuditPair& pair, const json& from) {
    const json& m = r["measures"];
    const bool matched = m.contains("ssim_matched") && m["ssim"] == m["ssim_matched"] &&
                         m["ssim_matched"]["mean"] > m["ssim_as_is"]["mean"];
    const auto lines = [&](bool of_matched) {
      return Texts{{"attacker", from["attacker"]},
                   {"features", from["features"]},
                   {"moment_matched", of_matched ? "1" : "0"}};
    };
    const std::string judge = from["cosine"].contains("second") ? "second" : "deployed";
    note_above(r, pair, "ssim", "ssim", lines(matched));
    note_above(r, pair, "cosine", "cosine_" + judge, lines(false), "cosine_of_others_" + judge);
    if (m.contains("cosine_of_others")) r["chance"]["cosine"] = m["cosine_of_others"];
    for (const auto& [name, value] : r["measures"].items())
      if (name.starts_with("replay")) widen_ends(value, people_asked(pair));
    note_people(r, pair.step, "ssim", "ssim", lines(matched));
    note_people(r, pair.step, "cosine", "cosine_" + judge, lines(false));
    note_people(r, pair.step, "replay", "replay_rate_" + judge + "_same_photo", lines(false));
  }

  // By how it did on raw features; of one who adapts, by how the same decoder did that was trained on these.
  void counts(json& r, const AuditPair& pair) {
    judge(r, pair);
    const json* raw = raw_result(pair);
    r["counts"] = {{"appearance", false}, {"identity", false}};
    if (!raw) {
      r["why_not"] = "nobody knows how it does on raw features";
      return;
    }
    for (const json& attacker : (*raw)["attackers"]) {
      if (!attacker.contains("counts")) continue;
      r["counts"]["appearance"] = attacker["counts_in_pixels"];
      r["counts"]["identity"] = attacker["counts_in_identity"];
      if (attacker["counts"] == false) r["why_not"] = "on raw features it does not beat the mean face";
    }
  }

  void linkage(const AuditPair& pair, const json& result) {
    const bool raw = pair.protection == c_.protections[0].name;
    const double chance = result["chance"]["rank_1"];
    const json* ceiling = nullptr;
    for (const json& from : result["rows"])
      if (from["kind"] == "raw") ceiling = &from;
    for (const json& from : result["rows"]) {
      if ((from["kind"] == "raw") != raw) continue;
      const std::string who = from["attacker"];
      json r = row(pair, from["kind"], who == "none" ? "the recogniser alone" : "a network");
      for (const char* name : {"rank_1", "rank_10", "auc", "cosine"})
        if (is_interval(from[name]))
          r["measures"][name == std::string("cosine") ? "cosine_read" : name] = from[name];
      for (const char* name : {"rank_1", "rank_10"})
        if (r["measures"].contains(name)) widen_ends(r["measures"][name], double(result["people"]));
      r["measures"]["tar_at_far_1e-3"] = from["tar_at_far"]["1e-3"];
      widen_ends(r["measures"]["tar_at_far_1e-3"], double(result["people"]));
      r["chance"] = {{"rank_1", only(chance)}};
      r["images"] = result["probes"];
      judge(r, pair);
      const bool links = ceiling && (*ceiling)["rank_1"]["low"] > chance;
      r["counts"] = {{"linkability", links}};
      if (!links) r["why_not"] = "raw features do not link these people either";
      note_people(r, pair.step, "rank_1", "rank_1", {{"attacker", who}, {"features", from["features"]}});
      rows_.push_back(std::move(r));
    }
  }

  void unlinkability(const AuditPair& pair, const json& result) {
    double asked = 0;
    for (const json& from : result["rows"]) asked += from["kind"] == "protected";
    for (const json& from : result["rows"]) {
      if (from["kind"] != "protected") continue;
      const std::string linker = from["attacker"], pairs = from["pairs"];
      json r = row(pair, "protected",
                   linker + ", " + (pairs == "same_photo" ? "same photograph" : "another photograph"));
      // Beside that of shuffled pairs: with few pairs it is far from nothing.
      r["measures"]["d_sys"] = only(from["d_sys"]);
      r["measures"]["d_sys_corrected"] = from["d_sys_corrected"];
      r["chance"] = {
          {"d_sys", {{"mean", from["chance"]["mean"]}, {"low", 0.0}, {"high", from["chance"]["high"]}}}};
      // Many linkers are asked, of whom one in twenty is above 95 % of shuffled pairs by chance.
      r["p_value"] = std::min(1.0, from["p_value"].get<double>() * asked);
      r["measures"]["link_auc"] = from["auc"];
      r["images"] = from["mated"];
      const json* ceiling = nullptr;
      for (const json& other : result["rows"])
        if (other["kind"] == "raw" && other["attacker"] == from["attacker"] &&
            other["pairs"] == from["pairs"])
          ceiling = &other;
      const bool links = !ceiling || (*ceiling)["d_sys_corrected"]["low"] > 0;
      r["counts"] = {{"linkability", links}};
      if (!links) r["why_not"] = "it does not link raw features either";
      judge(r, pair);
      rows_.push_back(std::move(r));
    }
  }

  void attributes(const AuditPair& pair, const json& result) {
    const bool raw = pair.protection == c_.protections[0].name;
    for (const json& from : result["rows"]) {
      const bool on_raw = from["asked_about"] == "raw";
      if (on_raw != raw) continue;
      const bool adapts = from["trained_on"] == from["asked_about"];
      const std::string attribute = from["attribute"], probe = from["probe"];
      json r =
          row(pair, raw ? "raw" : "protected", attribute + ", " + probe + (adapts ? "" : " trained on raw"));
      r["attribute"] = attribute;
      r["measures"]["balanced_accuracy"] = from["balanced_accuracy"];
      r["measures"]["accuracy_of_probe"] = from["accuracy"];
      r["majority_share"] = from["majority_share"];
      r["images"] = result["images"];
      judge(r, pair);
      const json* ceiling = nullptr;
      for (const json& other : result["rows"])
        if (other["asked_about"] == "raw" && other["trained_on"] == "raw" &&
            other["attribute"] == from["attribute"] && other["probe"] == from["probe"])
          ceiling = &other;
      const bool tells = ceiling && (*ceiling)["balanced_accuracy"]["low"] > 0.5;
      r["counts"] = {{"attributes", tells}};
      if (!tells) r["why_not"] = "it does not tell this from raw features either";
      note_people(r, pair.step, "balanced_accuracy", "correct",
                  {{"attribute", attribute},
                   {"probe", probe},
                   {"trained_on", from["trained_on"]},
                   {"asked_about", from["asked_about"]}},
                  "present");
      rows_.push_back(std::move(r));
    }
  }

  const AuditConfig& c_;
  const AuditPlan& plan_;
  const StepRunner& runner_;
  PeopleValues* people_;
  std::map<int64_t, json> results_;
  std::map<int64_t, ScoreTable> scores_;
  std::map<std::pair<int64_t, std::string>, ByImage> mean_face_;
  std::map<int64_t, PairDecisions> decisions_;
  json rows_ = json::array();
};

}  // namespace

json audit_rows(const AuditConfig& config, const AuditPlan& plan, const StepRunner& runner,
                PeopleValues* people) {
  return Collector(config, plan, runner, people).rows();
}

}  // namespace advf::tools
