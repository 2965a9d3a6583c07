// advface-evaluate reconstruction: the audit of reconstruction, as JSON, a table, a contact sheet and the
// scores of single images; and join, which makes them of the parts of a run.
#include <cmath>
#include <cstdio>

#include "advface/attackers/registry.h"
#include "advface/audit/reconstruction_audit.h"
#include "tools/evaluate/audit_json.h"
#include "tools/evaluate/evaluate.h"
#include "tools/evaluate/reconstruction_report.h"
#include "tools/evaluate/reconstruction_result.h"
#include "tools/options/part_progress.h"
#include "tools/options/setting_options.h"

namespace advf::tools {
namespace {

void check_options(const ReconstructionOptions& o, const Part& part) {
  as_usage([&] {
    if (!part.whole()) {
      check(!o.common.json.empty(), "--part ", part.text(), " goes to a file: give --json OUT.json");
      for (const auto& [option, path] : {std::pair{"--scores", &o.scores}, {"--sheet", &o.sheet}})
        check(path->empty(), option, " needs all images, not --part ", part.text(),
              " alone; advface-evaluate join makes the scores, and --out keeps every picture");
    }
    for (const std::string& text : o.attackers)
      check(!text.starts_with('='), "--attacker \"", text, "\" gives no name before the =");
    for (const std::string& text : o.attackers) named_attacker(split_attacker(text).what, o.common.seed);
    check(o.called.empty() || (o.protect.asked() && o.epsilons.empty()),
          "--called names what one --protect makes, without --epsilons");
    check(!o.average || o.protected_files.empty(),
          "--average makes records here: not with --protected, whose rows are of one photograph each");
  });
  check_protected_files(o.protected_files);
  o.faces.check_cut();
  check_writable({o.sheet, o.scores});
}

// The chain as it is asked for, or one for each of --epsilons.
std::vector<ProtectionSpecs> chains_of(const ReconstructionOptions& o) {
  const ProtectionSpecs chain = o.protect.specs(o.common.seed);
  if (o.leaked_key) check_leaks_key(chain);
  as_usage([&] {
    check(o.epsilons.empty() || !chain.empty(),
          "--epsilons needs a protection: --shadow FILE, or --protect NAME");
  });
  if (chain.empty()) return {};
  if (o.epsilons.empty()) return {chain};
  std::vector<ProtectionSpecs> list;
  as_usage([&] {
    for (double epsilon : o.epsilons) {
      check(std::isfinite(epsilon), "--epsilons holds ", epsilon, ", which is no number");
      check(epsilon != 0, "--epsilons holds 0, which protects nothing");
      list.push_back(chain);
      bool taken = false;
      for (auto& spec : list.back())
        if (const auto changed = with_setting(*spec, "epsilon", nlohmann::json(epsilon).dump())) {
          changed->check_valid();
          spec = changed;
          taken = true;
        }
      check(taken, "--epsilons is for protections that have an --epsilon");
    }
  });
  return list;
}

ReconstructionSettings settings_of(const ReconstructionOptions& o, const Part& part) {
  ReconstructionSettings s;
  s.faces = o.faces;
  s.protections = chains_of(o);
  s.attackers = o.attackers;
  s.protected_files = o.protected_files;
  s.second_recogniser = o.second;
  s.thresholds = o.thresholds;
  s.part = o.split;
  s.limit = o.limit;
  s.spread = o.spread;
  s.fmr = o.fmr;
  s.seed = o.common.seed;
  s.split_seed = o.split_seed;
  s.kinds = o.sets;
  s.leaked_key = o.leaked_key;
  s.average = o.average;
  s.called = o.called;
  s.share = [part](int64_t n, int64_t at_once) { return part.range(n, at_once); };
  return s;
}

// All but the rows.
nlohmann::json result_json(const ReconstructionOptions& o, const Part& part,
                           const ReconstructionAudit& audit) {
  nlohmann::json result = {{"images", audit.test().images.size()},
                           {"part", o.split},
                           {"fmr", o.fmr},
                           {"recogniser", o.faces.recogniser},
                           {"cut", audit.cut()},
                           {"left_out", left_out_json(audit.left_out())},
                           {"locks", locks_json(audit.locks())}};
  result["sheet"] = o.sheet.empty() ? nlohmann::json() : nlohmann::json(o.sheet);
  // Each part has a folder of its own.
  result["out"] = o.out.empty() || !part.whole() ? nlohmann::json() : nlohmann::json(o.out);
  for (const auto& [name, protection] : audit.protections())
    result["protections"][name] = to_json(protection);
  for (const Verifier& v : audit.test().verifiers)
    result["judges"][v.name] = {{"threshold", v.threshold},
                                {"fingerprint", v.recogniser->fingerprint()},
                                {"images_with_another_photo", v.other_of.size()}};
  return result;
}

nlohmann::json attackers_json(const ReconstructionAudit& audit) {
  nlohmann::json list = nlohmann::json::array();
  for (const auto& [name, attacker] : audit.attackers())
    list.push_back(
        {{"attacker", name}, {"kind", attacker->kind()}, {"settings", json_of(attacker->settings())}});
  return list;
}

// Scores, JSON and table of what was measured of all images.
void report(const ReconstructionResult& measured, const Common& common, const std::string& scores_path) {
  ScoreFile scores(scores_path);
  nlohmann::json rows = nlohmann::json::array();
  for (const ReconstructionRow& row : measured.rows) {
    rows.push_back(to_json(row, measured.about(row), measured.seed));
    scores.add(row, measured.about(row));
  }
  const nlohmann::json told = verdicts(rows, measured.verifiers[0]);
  nlohmann::json result = measured.told;
  result["rows"] = rows;
  result["attackers"] = measured.attackers;
  for (nlohmann::json& attacker : result["attackers"])
    for (const auto& verdict : told)
      if (verdict["attacker"] == attacker["attacker"]) attacker.update(verdict);
  scores.commit();
  common.write_json(result);
  print_table(rows, told, measured.verifiers);
}

}  // namespace

int evaluate_reconstruction(ReconstructionOptions& o) {
  const Part part = o.share.part();
  for (std::string* path : {&o.common.json, &o.out}) *path = part.path(*path);
  o.common.activate();
  install_interrupt_handler();
  check_options(o, part);
  ImageFolder folder(o.out);
  Context context = console();
  std::optional<FeaturePart> described;  // once it is known of how many images
  // The work on a part tells beside its output how far it is.
  context.progress = [&, plain = context.progress](const std::string& what, int64_t total,
                                                   const std::string& unit) {
    if (!described || what != kAttackWork) return plain(what, total, unit);
    return std::unique_ptr<ProgressLine>(
        std::make_unique<PartProgress>(what, total, unit, described, o.common.json));
  };
  ReconstructionAudit audit(settings_of(o, part), context);
  audit.prepare();
  const TestImages& all = audit.test();
  const int64_t n = int64_t(all.images.size());
  if (!part.whole()) described = part.described(n, kAttackedAtOnce, o.common.seed, audit.input_hash());
  ReconstructionResult result{
      result_json(o, part, audit), attackers_json(audit), {}, o.common.seed, {}, {}, {}};
  for (const Verifier& v : all.verifiers) result.verifiers.push_back(v.name);
  std::optional<Sheet> sheet;
  if (!o.sheet.empty()) sheet.emplace(all.faces, all.people);
  audit.run([&](const ReconstructionRow& row, const TestImages& about, const Tensor& images) {
    (row.kind == "identity" ? result.known : result.all) = TestedImages(about);
    result.rows.push_back(row);
    if (!images.defined()) return;
    if (row.attacker == "photograph") folder.add({"originals"}, about.files, images);
    if (row.kind == "none") return;
    if (!row.matched) folder.add({row.attacker, row.features}, about.files, images);
    // On the sheet stand reconstructions of everybody under test; those of raw features only as they are.
    if (sheet && row.kind != "identity" && !(row.matched && (o.sheet_plain || row.features == "raw")))
      sheet->add(row.features, row.attacker + " " + row.features + (row.matched ? " matched" : ""), images);
  });
  folder.finish();
  if (described) {
    write_part(o.common.json, result, *described);
    if (described->first == described->end)
      std::printf("none of the %lld images, which are fewer than %lld for each part: %s\n",
                  static_cast<long long>(n), static_cast<long long>(kAttackedAtOnce), o.common.json.c_str());
    else
      std::printf("images %lld to %lld of %lld: %s\n", static_cast<long long>(described->first) + 1,
                  static_cast<long long>(described->end), static_cast<long long>(n), o.common.json.c_str());
  } else {
    report(result, o.common, o.scores);
  }
  if (sheet) {
    sheet->write(o.sheet);
    std::printf("contact sheet: %s\n", o.sheet.c_str());
  }
  if (!o.out.empty()) std::printf("images: %s\n", o.out.c_str());
  return 0;
}

int evaluate_join(JoinOptions& o) {
  o.common.activate();
  install_interrupt_handler();
  check_writable({o.scores});
  report(read_parts(o.common.json), o.common, o.scores);
  return 0;
}

CLI::App* add_join_verb(CLI::App& app, JoinOptions& o) {
  CLI::App* sub = app.add_subcommand(
      "join",
      "the result of reconstruction, --json OUT.json, and its table, of OUT.1-of-N.json to OUT.N-of-N.json, "
      "which --part has made");
  sub->add_option("--scores", o.scores, "scores of every single image (.tsv)");
  o.common.add_to(*sub);
  sub->get_option("--json")->required();
  return sub;
}

namespace {

// ": inversion (steps, restarts, ...)", for the help.
std::string kinds_without_file() {
  std::string text;
  for (const AttackerKind& kind : attackers()) {
    if (!kind.spec) continue;
    text += (text.empty() ? ": " : "; ") + kind.name + " (";
    const auto spec = kind.spec();
    std::string settings;
    for (const Setting& s : spec->settings())
      if (s.source == Setting::Source::option || s.source == Setting::Source::file)
        settings += (settings.empty() ? "" : ", ") + s.name + (s.text().empty() ? "" : " " + s.text()) +
                    ": " + s.help;
    text += settings + ")";
  }
  return text;
}

}  // namespace

CLI::App* add_reconstruction_verb(CLI::App& app, ReconstructionOptions& o) {
  CLI::App* sub =
      app.add_subcommand("reconstruction", "what attackers reconstruct from raw and protected features");
  o.faces.add_to(*sub);
  o.faces.add_labels_to(*sub);
  sub->add_option("--attacker", o.attackers,
                  "file of an attacker, [NAME=]FILE, or one without a file, [NAME=]KIND[:SETTING=VALUE,...]" +
                      kinds_without_file() + "; may be given several times")
      ->required();
  sub->add_option("--second-recogniser", o.second, "card of a recogniser that the defence never saw");
  sub->add_option("--split", o.split,
                  "score the test people of the split, its validation people, or all images")
      ->capture_default_str()
      ->check(CLI::IsMember({"test", "validation", "all"}));
  sub->add_option("--limit", o.limit, "score at most this many images; 0 = all")
      ->capture_default_str()
      ->check(not_negative());
  sub->add_flag("--spread", o.spread, "of these a photograph of each person before a second one of anybody");
  sub->add_option("--split-seed", o.split_seed, "of the split by person, where no attacker's file says it")
      ->capture_default_str()
      ->check(not_negative());
  sub->add_option("--fmr", o.fmr, "false match rate at which replay thresholds are set")
      ->capture_default_str()
      ->check(number_in(0, 0.5));
  sub->add_option("--scores", o.scores, "scores of every single image (.tsv)");
  sub->add_option("--thresholds", o.thresholds, "take replay thresholds from an earlier result (.json)");
  sub->add_option("--sheet", o.sheet, "contact sheet of originals and reconstructions (.png)");
  sub->add_flag("--sheet-plain", o.sheet_plain,
                "the sheet without images brought to the mean face's light and contrast");
  sub->add_option(
      "--out", o.out,
      "folder, absent or empty, for every image that an attacker makes, beside the originals (.png)");
  o.protect.add_to(*sub, "Protection");
  add_leaked_key(*sub, o.leaked_key);
  add_average(*sub, o.average);
  sub->add_option("--called", o.called,
                  "what rows and the sheet call the features that are protected here (default: how they are)")
      ->group("Protection");
  sub->add_option("--epsilons", o.epsilons, "several values of --epsilon, each a row")
      ->delimiter(',')
      ->excludes(sub->get_option("--epsilon"))
      ->group("Protection");
  sub->add_option("--protected", o.protected_files, "protected features of all images, NAME=FILE (.npy)")
      ->group("Protection");
  sub->add_option(
         "--sets", o.sets,
         "kinds of features to ask about, of raw, protected, noise (of equal norm), identity (the mean "
         "of the person's other photographs); without it all")
      ->delimiter(',')
      ->check(CLI::IsMember(feature_kinds()));
  o.share.add_to(*sub, "OUT.json", "advface-evaluate join --json OUT.json");
  o.common.add_to(*sub);
  return sub;
}

}  // namespace advf::tools
