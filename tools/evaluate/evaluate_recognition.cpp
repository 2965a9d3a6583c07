// advface-evaluate recognition: the audit of recognition, as JSON and a line.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numbers>
#include <sstream>

#include "advface/audit/identity_floor.h"
#include "advface/audit/verification_audit.h"
#include "advface/protections/guarantee.h"
#include "tensor/io/atomic_file.h"
#include "tools/evaluate/evaluate.h"

namespace advf::tools {
namespace {

nlohmann::json operating_point(const std::vector<ScoredPair>& scores, double far) {
  const OperatingPoint p = tar_at_far(scores, far);
  return {{"tar", p.tar()}, {"far", p.far()}, {"threshold", p.threshold}};
}

// What a record tells at least of who it is (docs/theory.md), at a threshold.
nlohmann::json floor_json(const OperatingPoint& point) {
  const IdentityFloor floor = identity_floor(point);
  nlohmann::json json = {{"bits", std::isfinite(floor.bits) ? nlohmann::json(floor.bits) : nlohmann::json()},
                         {"bits_at_least", floor.bits_at_least},
                         {"tar_at_least", floor.tar_at_least},
                         {"far_at_most", floor.far_at_most}};
  for (const int64_t people : {100, 10'000, 1'000'000}) {
    const CandidateList list = candidates(floor.tar_at_least, floor.far_at_most, people);
    json["people"][std::to_string(people)] = {
        {"bits_at_least", identity_bits(floor.tar_at_least, floor.far_at_most, people)},
        {"list", list.length},
        {"named_at_least", list.named}};
  }
  return json;
}

// Of pairs whose decision at the threshold is settled by their raw score, however a protection turns what is
// stored by no more than this angle.
nlohmann::json settled(const std::vector<ScoredPair>& raw, double angle, double threshold) {
  double accepted = 0, refused = 0, genuine = 0;
  for (const ScoredPair& pair : raw) {
    const ScoreRange range = score_range(pair.score, angle);
    genuine += pair.genuine;
    accepted += pair.genuine && range.least >= threshold;
    refused += !pair.genuine && range.most < threshold;
  }
  return {{"genuine_accepted", accepted / genuine},
          {"impostors_refused", refused / (double(raw.size()) - genuine)}};
}

nlohmann::json measure(const std::vector<ScoredPair>& scores) {
  const FoldAccuracy accuracy = fold_accuracy(scores);
  const nlohmann::json points = {{"1e-2", operating_point(scores, 1e-2)},
                                 {"1e-3", operating_point(scores, 1e-3)}};
  return {{"accuracy", {{"mean", accuracy.mean}, {"std", accuracy.deviation}}},
          {"tar_at_far", {{"1e-2", points["1e-2"]["tar"]}, {"1e-3", points["1e-3"]["tar"]}}},
          {"operating_points", points},
          {"identity_floor",
           {{"1e-2", floor_json(tar_at_far(scores, 1e-2))}, {"1e-3", floor_json(tar_at_far(scores, 1e-3))}}},
          {"eer", equal_error_rate(scores)}};
}

void print(const nlohmann::json& m, size_t pairs, const std::string& side) {
  const nlohmann::json &accuracy = m["accuracy"], &tar = m["tar_at_far"];
  std::printf(
      "accuracy %.4f +- %.4f   TAR@FAR 1e-2 %.4f   1e-3 %.4f   EER %.4f   (%zu pairs, protected: %s)\n",
      accuracy["mean"].get<double>(), accuracy["std"].get<double>(), tar["1e-2"].get<double>(),
      tar["1e-3"].get<double>(), m["eer"].get<double>(), pairs, side.c_str());
}

void print_floor(const nlohmann::json& floor) {
  const nlohmann::json& people = floor["people"]["10000"];
  std::printf(
      "identity floor at FAR 1e-3: whoever can run the verifier learns at least %.2f bits of who a record "
      "is; of "
      "10000 people he is left with a list of %.1f\n",
      floor["bits_at_least"].get<double>(), people["list"].get<double>());
}

// Tab-separated: a pair a line.
void write_scores(const std::string& path, const VerificationScores& v) {
  AtomicFile file(path);
  file.write("a\tb\tgenuine\tfold\tscore\n");
  for (size_t i = 0; i < v.scores.size(); ++i) {
    std::ostringstream line;
    line.precision(9);
    line << v.files[i].first << '\t' << v.files[i].second << '\t' << v.scores[i].genuine << '\t'
         << v.scores[i].fold << '\t' << v.scores[i].score << '\n';
    file.write(line.str());
  }
  file.commit();
}

void check_options(const RecognitionOptions& o) {
  check_writable({o.scores});
  o.faces.check_cut();  // judged before the work
  as_usage([&] {
    check(o.adapter.empty() || o.protect.asked() || !o.protected_file.empty(),
          "--adapter reads protected features: give --shadow or --protected");
    check(!o.average || o.side == "gallery",
          "--average is for the gallery, which is enrolled: not with --side ", o.side);
    check(!o.average || o.protected_file.empty(),
          "--average makes records here: not with --protected, whose rows are of one photograph each");
  });
}

// Of how the features of --protected were protected, which --protect names whole or in part, what probes go
// through as well. Whether it is that, and with these settings, is judged where it is made.
void keep_what_changes_probes(const RecognitionOptions& o, ProtectionSpecs& specs) {
  const std::vector<std::string> names = o.protect.names();
  const ProtectionId stored = open_feature_file(o.protected_file).info.protection;
  ProtectionSpecs kept;
  for (size_t i = 0; i < specs.size(); ++i) {
    if (specs[i]->changes_probe())
      kept.push_back(specs[i]);
    else if (std::ranges::find(stored.applied, names[i], &AppliedProtection::name) == stored.applied.end())
      throw WrongCall(o.protected_file + " brings features that are " + stored.describe() + "; --protect " +
                      names[i] + " would change nothing of them, nor of probes: leave it out");
  }
  specs = std::move(kept);
}

VerificationSettings settings_of(const RecognitionOptions& o) {
  VerificationSettings s{o.faces,          o.protect.specs(o.common.seed),
                         o.pairs,          o.protected_file,
                         o.protected_list, o.adapter,
                         o.side,           o.average};
  if (!o.protected_file.empty()) keep_what_changes_probes(o, s.protection);
  return s;
}

}  // namespace

int evaluate_recognition(RecognitionOptions& o) {
  o.common.activate();
  install_interrupt_handler();
  check_options(o);
  const VerificationSettings settings = settings_of(o);
  const VerificationScores v = verify_pairs(settings, console());
  const std::string side = v.guarded ? o.side : "none";
  nlohmann::json result = measure(v.scores);
  result.update({{"pairs", v.scores.size()},
                 {"pairs_left_out", v.left_out},
                 {"protected", side},
                 {"recogniser", o.faces.recogniser},
                 {"cut", v.cut}});
  if (o.average) result["photographs"] = v.photographs;
  if (v.guarded) result["protected_by"] = to_json(v.protection);
  if (v.guarded && o.protect.asked()) {
    result["protection"] = settings_json(v.protection);
    if (result["protection"].contains("epsilon")) result["epsilon"] = result["protection"]["epsilon"];
  }
  if (v.raw) {
    result["settled"] = {{"least_cosine", std::cos(std::min(v.largest_angle, std::numbers::pi))}};
    for (const char* far : {"1e-2", "1e-3"})
      result["settled"][far] =
          settled(*v.raw, v.largest_angle, result["operating_points"][far]["threshold"].get<double>());
  }
  if (v.adapted) {
    result["offline"] = measure(*v.adapted);
    result["offline"]["adapter"] = o.adapter;
  }
  if (!o.scores.empty()) write_scores(o.scores, v);
  o.common.write_json(result);
  print(result, v.scores.size(), side);
  print_floor(result["identity_floor"]["1e-3"]);
  if (v.adapted) print(result["offline"], v.scores.size(), side + ", offline: behind " + o.adapter);
  if (o.average) std::printf("enrolled with %.1f photographs on average\n", v.photographs);
  if (v.left_out > 0)
    std::printf("%zu pairs left out because an image could not be read, or shows no usable face\n",
                v.left_out);
  return 0;
}

CLI::App* add_recognition_verb(CLI::App& app, RecognitionOptions& o) {
  CLI::App* sub =
      app.add_subcommand("recognition", "verification accuracy on a list of pairs (LFW protocol)");
  o.faces.add_to(*sub);
  o.faces.add_labels_to(*sub);
  sub->add_option("--pairs", o.pairs, "pairs: LFW's pairs.txt, or CSV (a,b,genuine,fold)")->required();
  o.protect.add_to(*sub, "Protection");
  CLI::Option* file =
      sub->add_option("--protected", o.protected_file, "protected features from this file (.npy) instead")
          ->excludes(sub->get_option("--shadow"))
          ->group("Protection");
  CLI::Option* list = sub->add_option("--protected-list", o.protected_list,
                                      "the files that the rows of --protected belong to")
                          ->needs(file)
                          ->group("Protection");
  file->needs(list);
  sub->add_option("--adapter", o.adapter,
                  "also measure offline mode: protected features go through this adapter first")
      ->group("Protection");
  sub->add_option("--side", o.side, "which side of a pair is protected: gallery, probe or both")
      ->capture_default_str()
      ->check(CLI::IsMember({"gallery", "probe", "both"}))
      ->group("Protection");
  add_average(*sub, o.average);
  sub->add_option("--scores", o.scores, "the score of every single pair (.tsv)");
  o.common.add_to(*sub);
  return sub;
}

}  // namespace advf::tools
