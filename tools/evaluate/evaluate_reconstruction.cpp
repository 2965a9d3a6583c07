// advface-evaluate reconstruction: the audit of reconstruction, as JSON, a table, a contact sheet and the
// scores of single images.
#include <cmath>
#include <cstdio>

#include "advface/attackers/registry.h"
#include "advface/audit/reconstruction_audit.h"
#include "tools/evaluate/audit_json.h"
#include "tools/evaluate/evaluate.h"
#include "tools/evaluate/reconstruction_report.h"
#include "tools/options/setting_options.h"

namespace advf::tools {
namespace {

void check_options(const ReconstructionOptions& o) {
  as_usage([&] {
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

ReconstructionSettings settings_of(const ReconstructionOptions& o) {
  ReconstructionSettings s;
  s.faces = o.faces;
  s.protections = chains_of(o);
  s.attackers = o.attackers;
  s.protected_files = o.protected_files;
  s.second_recogniser = o.second;
  s.thresholds = o.thresholds;
  s.part = o.part;
  s.limit = o.limit;
  s.spread = o.spread;
  s.fmr = o.fmr;
  s.seed = o.common.seed;
  s.split_seed = o.split_seed;
  s.kinds = o.sets;
  s.leaked_key = o.leaked_key;
  s.average = o.average;
  s.called = o.called;
  return s;
}

// All but the rows.
nlohmann::json result_json(const ReconstructionOptions& o, const ReconstructionAudit& audit) {
  nlohmann::json result = {{"images", audit.test().images.size()},
                           {"part", o.part},
                           {"fmr", o.fmr},
                           {"recogniser", o.faces.recogniser},
                           {"cut", audit.cut()},
                           {"left_out", left_out_json(audit.left_out())},
                           {"locks", locks_json(audit.locks())}};
  for (const auto& [name, protection] : audit.protections())
    result["protections"][name] = to_json(protection);
  for (const Verifier& v : audit.test().verifiers)
    result["judges"][v.name] = {{"threshold", v.threshold},
                                {"fingerprint", v.recogniser->fingerprint()},
                                {"images_with_another_photo", v.other_of.size()}};
  return result;
}

// Every attacker, how it was set, and what is to be said of it where it met raw features.
nlohmann::json attackers_json(const nlohmann::json& told, const ReconstructionAudit& audit) {
  nlohmann::json list = nlohmann::json::array();
  for (const auto& [name, attacker] : audit.attackers()) {
    nlohmann::json entry = {{"attacker", name}};
    for (const auto& verdict : told)
      if (verdict["attacker"] == name) entry = verdict;
    entry["kind"] = attacker->kind();
    entry["settings"] = json_of(attacker->settings());
    list.push_back(std::move(entry));
  }
  return list;
}

}  // namespace

int evaluate_reconstruction(ReconstructionOptions& o) {
  o.common.activate();
  install_interrupt_handler();
  check_options(o);
  ImageFolder folder(o.out);
  const Context context = console();
  ReconstructionAudit audit(settings_of(o), context);
  audit.prepare();
  const TestImages& all = audit.test();
  nlohmann::json rows = nlohmann::json::array();
  Sheet sheet(all.faces, all.people);
  ScoreFile scores(o.scores);
  folder.add({"originals"}, all.files, all.faces);
  audit.run([&](const ReconstructionRow& row, const TestImages& about, const Tensor& images) {
    rows.push_back(to_json(row, about, o.common.seed));
    scores.add(row, about);
    if (!row.matched && row.kind != "none") folder.add({row.attacker, row.features}, about.files, images);
    // On the sheet stand reconstructions of everybody under test; those of raw features only as they are.
    const bool whole = &about == &all && row.kind != "none";
    if (whole && !(row.matched && (o.sheet_plain || row.features == "raw")))
      sheet.add(row.features, row.attacker + " " + row.features + (row.matched ? " matched" : ""), images);
  });

  nlohmann::json result = result_json(o, audit);
  result["rows"] = rows;
  const nlohmann::json told = verdicts(rows, all.verifiers);
  result["attackers"] = attackers_json(told, audit);
  scores.commit();
  if (!o.sheet.empty()) sheet.write(o.sheet);
  for (const auto& [key, path] : {std::pair{"sheet", &o.sheet}, {"out", &o.out}})
    result[key] = path->empty() ? nlohmann::json() : nlohmann::json(*path);
  o.common.write_json(result);
  print_table(rows, told, all.verifiers);
  if (!o.sheet.empty()) std::printf("contact sheet: %s\n", o.sheet.c_str());
  if (!o.out.empty()) std::printf("images: %s\n", o.out.c_str());
  return 0;
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
  sub->add_option("--part", o.part,
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
  o.common.add_to(*sub);
  return sub;
}

}  // namespace advf::tools
