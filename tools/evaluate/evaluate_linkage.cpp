// advface-evaluate linkage: the audit of linkage, as JSON and a table.
#include <algorithm>
#include <cstdio>

#include "advface/audit/linkage_audit.h"
#include "tools/evaluate/audit_json.h"
#include "tools/evaluate/evaluate.h"

namespace advf::tools {
namespace {

LinkageSettings settings_of(const LinkageOptions& o) {
  LinkageSettings s;
  s.faces = o.faces;
  if (const ProtectionSpecs chain = o.protect.specs(o.common.seed); !chain.empty()) s.protections = {chain};
  s.attackers = o.attackers;
  s.protected_files = o.protected_files;
  s.part = o.split;
  s.limit = o.limit;
  s.split_seed = o.split_seed;
  s.leaked_key = o.leaked_key;
  s.known_pairs = o.known_pairs;
  s.seed = o.common.seed;
  if (o.leaked_key) check_leaks_key(s.protections.empty() ? ProtectionSpecs() : s.protections[0]);
  return s;
}

nlohmann::json row_json(const LinkageRow& row, const LinkageTask& task, uint64_t seed) {
  const auto of = [&](const std::vector<double>& values) { return interval_json(values, task.people, seed); };
  return {{"attacker", row.attacker},
          {"features", row.features},
          {"kind", row.kind},
          {"epsilon", row.epsilon ? nlohmann::json(*row.epsilon) : nlohmann::json()},
          {"rank_1", of(row.rank_1)},
          {"rank_10", of(row.rank_10)},
          {"auc", of(row.placement)},
          {"tar_at_far", {{"1e-3", of(row.accepted)}}},
          {"far", row.far},
          {"threshold", row.threshold},
          {"cosine", of(row.cosine)},
          {"known_pairs", row.known_pairs ? nlohmann::json(*row.known_pairs) : nlohmann::json()}};
}

// Of each probe, under the attacker's name as the table has it.
void add_scores(ScoreSheet& sheet, const LinkageRow& row, const std::vector<TestPhotograph>& probes) {
  const std::string attacker =
      row.known_pairs ? std::to_string(*row.known_pairs) + " " + row.attacker : row.attacker;
  for (size_t i = 0; i < probes.size(); ++i)
    sheet.add({attacker, row.features, probes[i].file, person_text(probes[i].person),
               score_text(row.rank_1[i]), score_text(row.rank_10[i]), score_text(row.placement[i]),
               score_text(row.accepted[i]), score_text(row.cosine[i])});
}

void print_linkage_row(const nlohmann::json& row) {
  std::string attacker = row["attacker"];
  if (!row["known_pairs"].is_null())
    attacker = std::to_string(row["known_pairs"].get<int64_t>()) + " " + attacker;
  std::printf("%-16s %-28s %-22s %-22s %-22s %-22s %s\n", attacker.c_str(),
              row["features"].get<std::string>().c_str(), interval_text(row["rank_1"]).c_str(),
              interval_text(row["rank_10"]).c_str(), interval_text(row["auc"]).c_str(),
              interval_text(row["tar_at_far"]["1e-3"]).c_str(), interval_text(row["cosine"]).c_str());
}

nlohmann::json linkage_json(const LinkageOptions& o, const LinkageAudit& audit, const nlohmann::json& rows) {
  const LinkageTask& task = audit.task();
  const double gallery = double(task.gallery.size());
  return {{"part", o.split},
          {"probes", task.probes.size()},
          {"people", int64_t(task.gallery.size()) - task.distractors},
          {"distractors", task.distractors},
          {"impostor_pairs", int64_t(task.probes.size() * (task.gallery.size() - 1))},
          {"chance", {{"rank_1", 1 / gallery}, {"rank_10", std::min(1.0, 10 / gallery)}, {"auc", 0.5}}},
          {"recogniser", o.faces.recogniser},
          {"cut", audit.cut()},
          {"protections", protections_json(audit.protections())},
          {"left_out", left_out_json(audit.left_out())},
          {"locks", locks_json(audit.locks())},
          {"rows", rows}};
}

}  // namespace

int evaluate_linkage(LinkageOptions& o) {
  o.common.activate();
  install_interrupt_handler();
  check_protected_files(o.protected_files);
  as_usage([&] {
    for (const std::string& text : o.attackers)
      check(!text.starts_with('='), "--attacker \"", text, "\" gives no name before the =");
    check(o.known_pairs.empty() || o.protect.asked() || !o.protected_files.empty(),
          "--known-pairs is about protected features; say how to protect (--protect), or give --protected");
    std::sort(o.known_pairs.begin(), o.known_pairs.end());
    for (size_t i = 1; i < o.known_pairs.size(); ++i)
      check(o.known_pairs[i] != o.known_pairs[i - 1], "--known-pairs names ", o.known_pairs[i], " twice");
  });
  o.faces.check_cut();
  check_writable({o.scores});
  ScoreSheet scores(o.scores, {"attacker", "features", "image", "person", "rank_1", "rank_10", "auc",
                               "accepted", "cosine"});
  const Context context = console();
  LinkageAudit audit(settings_of(o), context);
  audit.prepare();
  nlohmann::json rows = nlohmann::json::array();
  audit.run([&](const LinkageRow& row) {
    rows.push_back(row_json(row, audit.task(), o.common.seed));
    add_scores(scores, row, audit.probes());
  });
  scores.commit();
  o.common.write_json(linkage_json(o, audit, rows));
  const LinkageTask& task = audit.task();
  std::printf("%zu probes of %lld people, a gallery of %zu\n", task.probes.size(),
              static_cast<long long>(int64_t(task.gallery.size()) - task.distractors), task.gallery.size());
  std::printf("%-16s %-28s %-22s %-22s %-22s %-22s %s\n", "attacker", "probes", "rank 1", "rank 10", "AUC",
              "TAR at FAR 1e-3", "cosine");
  for (const nlohmann::json& row : rows) print_linkage_row(row);
  print_left_out(audit.left_out());
  return 0;
}

CLI::App* add_linkage_verb(CLI::App& app, LinkageOptions& o) {
  CLI::App* sub = app.add_subcommand(
      "linkage", "whether whoever holds protected features finds the people behind them among photographs");
  o.faces.add_to(*sub);
  o.faces.add_labels_to(*sub);
  sub->add_option(
      "--attacker", o.attackers,
      "linkage network (or adapter) made by advface-train, [NAME=]FILE; may be given several times");
  sub->add_option("--split", o.split, "link the test people of the split, or its validation people")
      ->capture_default_str()
      ->check(CLI::IsMember({"test", "validation"}));
  sub->add_option("--limit", o.limit, "use at most this many images of the part; 0 = all")
      ->capture_default_str()
      ->check(not_negative());
  sub->add_option("--split-seed", o.split_seed, "of the split by person, where no --attacker says it")
      ->capture_default_str()
      ->check(CLI::Range(uint64_t(0), uint64_t(INT64_MAX)))
      ->check(not_negative());
  sub->add_option(
         "--known-pairs", o.known_pairs,
         "who links knows so many photographs of other people raw and as they are stored, and fits a "
         "linear map on them; several numbers with commas between")
      ->delimiter(',')
      ->check(CLI::Range(int64_t(1), int64_t(1) << 20));
  sub->add_option("--scores", o.scores, "scores of every single probe (.tsv)");
  o.protect.add_to(*sub, "Protection");
  add_leaked_key(*sub, o.leaked_key);
  sub->add_option("--protected", o.protected_files, "protected features of all images, NAME=FILE (.npy)")
      ->group("Protection");
  o.common.add_to(*sub);
  return sub;
}

}  // namespace advf::tools
