// advface-evaluate unlinkability: the audit of unlinkability, as JSON, a table and a picture.
#include <algorithm>
#include <cstdio>

#include "advface/audit/unlinkability_audit.h"
#include "tools/evaluate/audit_json.h"
#include "tools/evaluate/evaluate.h"

namespace advf::tools {
namespace {

UnlinkabilitySettings settings_of(const UnlinkabilityOptions& o) {
  UnlinkabilitySettings s;
  s.faces = o.faces;
  s.first = o.protect.specs(o.common.seed);
  if (!s.first.empty()) s.second = o.protect.specs_with(o.common.seed, o.others);
  s.protected_files = o.protected_files;
  s.part = o.split;
  s.limit = o.limit;
  s.split_seed = o.split_seed;
  s.seed = o.common.seed;
  s.odds = o.odds;
  s.epochs = o.epochs;
  return s;
}

void check_sets(const UnlinkabilityOptions& o) {
  check_protected_files(o.protected_files);
  as_usage([&] {
    check(o.protected_files.empty() || o.protected_files.size() == 2, "--protected is given ",
          o.protected_files.size(), " times, but unlinkability is of two sets");
    check(o.protected_files.empty() || !o.protect.asked(),
          "both sets are protected here (--protect), or both come from files (--protected)");
    check(o.others.empty() || o.protect.asked(),
          "--other says in what the second set is protected otherwise; say how to protect: --protect NAME");
  });
}

nlohmann::json row_json(const UnlinkabilityRow& row, uint64_t seed) {
  const Unlinkability& u = row.result;
  const Interval& c = u.corrected;
  return {{"attacker", row.linker},
          {"features", row.features},
          {"kind", row.kind},
          {"pairs", row.pairs},
          {"mated", u.mated.size()},
          {"non_mated", u.non_mated.size()},
          {"bins", u.local.edges.size()},
          {"d_sys", u.local.system},
          {"d_sys_corrected", {{"mean", c.mean}, {"low", c.low}, {"high", c.high}}},
          {"chance", {{"mean", u.chance_mean}, {"high", u.chance_high}}},
          {"p_value", u.p_value},
          {"auc", interval_json(u.placement, row.people, seed)}};
}

// What is drawn, a point each; `row` says of which row.
void add_curve(nlohmann::json& curves, size_t row, const std::vector<ScoreDensity>& densities) {
  for (const ScoreDensity& point : densities)
    curves.push_back({{"row", row},
                      {"score", point.score},
                      {"mated", point.mated},
                      {"non_mated", point.non_mated},
                      {"d", point.d}});
}

// Both kinds of score, each against its own most frequent one, with D over them.
Plot panel_of(const UnlinkabilityRow& row, const std::vector<ScoreDensity>& densities) {
  Series mated{"mated", {}, {}}, others{"non-mated", {}, {}}, d{"D(score)", {}, {}};
  double most_mated = 0, most_others = 0;
  for (const ScoreDensity& point : densities) {
    most_mated = std::max(most_mated, point.mated);
    most_others = std::max(most_others, point.non_mated);
  }
  for (const ScoreDensity& point : densities) {
    for (Series* s : {&mated, &others, &d}) s->xs.push_back(point.score);
    mated.ys.push_back(most_mated > 0 ? point.mated / most_mated : 0);
    others.ys.push_back(most_others > 0 ? point.non_mated / most_others : 0);
    d.ys.push_back(point.d);
  }
  for (Series* s : {&mated, &others, &d}) s->marks = densities.size() == 1;
  char title[64];
  std::snprintf(title, sizeof title, ", D_sys %.3f (chance %.3f)", row.result.local.system,
                row.result.chance_mean);
  return {row.features + ", " + row.linker + ", " + row.pairs + title,
          {mated, others, d},
          "score",
          "share of the highest; D",
          {.height = 320}};
}

nlohmann::json unlinkability_json(const UnlinkabilityOptions& o, const UnlinkabilityAudit& audit) {
  return {{"part", o.split},
          {"images", audit.images()},
          {"people", audit.people()},
          {"known_images", audit.known_images()},
          {"odds", o.odds},
          {"recogniser", o.faces.recogniser},
          {"cut", audit.cut()},
          {"protections", protections_json(audit.protections())},
          {"same_protection", audit.same_protection()},
          {"left_out", left_out_json(audit.left_out())},
          {"out", o.out.empty() ? nlohmann::json() : nlohmann::json(o.out)}};
}

void print_unlinkability_row(const nlohmann::json& row) {
  char chance[64];
  std::snprintf(chance, sizeof chance, "%.3f, below %.3f", row["chance"]["mean"].get<double>(),
                row["chance"]["high"].get<double>());
  std::printf("%-9s %-36s %-12s %-7.3f %-22s %-20s %-7.3f %s\n", row["attacker"].get<std::string>().c_str(),
              row["features"].get<std::string>().c_str(), row["pairs"].get<std::string>().c_str(),
              row["d_sys"].get<double>(), interval_text(row["d_sys_corrected"]).c_str(), chance,
              row["p_value"].get<double>(), interval_text(row["auc"]).c_str());
}

}  // namespace

int evaluate_unlinkability(UnlinkabilityOptions& o) {
  o.common.activate();
  install_interrupt_handler();
  check_sets(o);
  o.faces.check_cut();
  check_writable({o.out});
  const Context context = console();
  UnlinkabilityAudit audit(settings_of(o), context);
  audit.prepare();
  nlohmann::json rows = nlohmann::json::array(), curves = nlohmann::json::array();
  std::vector<Plot> panels;
  audit.run([&](const UnlinkabilityRow& row) {
    const std::vector<ScoreDensity> densities = densities_of(row.result);
    add_curve(curves, rows.size(), densities);
    rows.push_back(row_json(row, o.common.seed));
    rows.back()["row"] = rows.size() - 1;
    if (!o.out.empty()) panels.push_back(panel_of(row, densities));
  });
  nlohmann::json result = unlinkability_json(o, audit);
  result["rows"] = rows;
  result["curves"] = curves;
  if (!o.out.empty()) write_svg(o.out, svg_stack("mated and non-mated scores", panels));
  o.common.write_json(result);
  std::printf("two sets of %lld records of %lld people\n", static_cast<long long>(audit.images()),
              static_cast<long long>(audit.people()));
  std::printf("%-9s %-36s %-12s %-7s %-22s %-20s %-7s %s\n", "attacker", "features", "mated", "D_sys",
              "corrected", "chance (mean, 95 %)", "p", "AUC");
  for (const nlohmann::json& row : rows) print_unlinkability_row(row);
  print_left_out(audit.left_out());
  if (!o.out.empty()) std::printf("scores: %s\n", o.out.c_str());
  return 0;
}

CLI::App* add_unlinkability_verb(CLI::App& app, UnlinkabilityOptions& o) {
  std::string help =
      "whether records of two protected sets of the same people, under two keys or seeds, can be linked "
      "without a key";
  for (const SetLinker& linker : set_linkers())
    help += (&linker == &set_linkers().front() ? ": " : "; ") + linker.name + " (" + linker.help + ")";
  CLI::App* sub = app.add_subcommand("unlinkability", help);
  o.faces.add_to(*sub);
  o.faces.add_labels_to(*sub);
  sub->add_option("--split", o.split,
                  "link the test people of the split, its validation people, or everybody")
      ->capture_default_str()
      ->check(CLI::IsMember({"test", "validation", "all"}));
  sub->add_option("--limit", o.limit, "use at most this many images of the part; 0 = all")
      ->capture_default_str()
      ->check(not_negative());
  sub->add_option("--split-seed", o.split_seed, "of the split by person")
      ->capture_default_str()
      ->check(CLI::Range(uint64_t(0), uint64_t(INT64_MAX)))
      ->check(not_negative());
  sub->add_option("--odds", o.odds, "of a mated pair beforehand: omega of D(s)")
      ->capture_default_str()
      ->check(number_in(1e-6, 1e6));
  sub->add_option("--epochs", o.epochs,
                  "of the linkage networks, which are trained on the split's training people; 0 = none is")
      ->capture_default_str()
      ->check(CLI::Range(0, 10000));
  o.protect.add_to(*sub, "Protection");
  sub->add_option("--other", o.others,
                  "SETTING=VALUE: in what the second set is protected otherwise than the first: key=FILE, "
                  "key-set=NAME, seed=N, or any other option of the protections; may be given several times")
      ->group("Protection")
      ->allow_extra_args(false);
  sub->add_option("--protected", o.protected_files,
                  "instead: one of two files of protected features of all images, NAME=FILE (.npy)")
      ->group("Protection")
      ->allow_extra_args(false);
  sub->add_option("--out", o.out, "mated and non-mated scores with D over them, as a picture (.svg)")
      ->check(svg_file());
  sub->footer(
      "Example:\n  advface-evaluate unlinkability --recogniser rec.json --images faces/images --labels "
      "faces/labels.csv \\\n    --protect rotation --key face.key --other key=next.key --out links.svg "
      "--json "
      "links.json");
  o.common.add_to(*sub);
  return sub;
}

}  // namespace advf::tools
