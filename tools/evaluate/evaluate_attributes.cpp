// advface-evaluate attributes: the audit of attributes, as JSON and a table.
#include <algorithm>
#include <cstdio>
#include <set>

#include "advface/audit/attribute_audit.h"
#include "advface/audit/metrics.h"
#include "advface/core/text_file.h"
#include "tools/evaluate/audit_json.h"
#include "tools/evaluate/evaluate.h"

namespace advf::tools {
namespace {

AttributeSettings settings_of(const AttributeOptions& o) {
  AttributeSettings s;
  s.faces = o.faces;
  s.protection = o.protect.specs(o.common.seed);
  s.protected_files = o.protected_files;
  s.unseen = o.unseen;
  as_usage([&] {
    std::string all;
    for (const std::string& names : o.attributes) all += (all.empty() ? "" : ",") + names;
    s.attributes = parse_names(all, "--attributes");
    check(!s.unseen || !s.protection.empty(),
          "--unseen leaves out whom a network that protects was trained on; say how to protect, with "
          "--protect");
  });
  s.part = o.split;
  s.split_seed = o.split_seed;
  s.leaked_key = o.leaked_key;
  if (o.leaked_key) check_leaks_key(s.protection);
  s.seed = o.common.seed;
  s.epochs = o.epochs;
  s.width = o.width;
  return s;
}

nlohmann::json row_json(const AttributeRow& row, const AttributeAudit& audit, uint64_t seed) {
  const std::vector<int64_t> truth = audit.truth(row.attribute);
  const Interval balanced = bootstrap_class_mean(row.correct, truth, 2, audit.people(), seed);
  const double present = double(std::count(truth.begin(), truth.end(), int64_t(1))) / double(truth.size());
  return {{"attribute", row.attribute},
          {"probe", row.probe},
          {"trained_on", row.trained_on},
          {"asked_about", row.asked_about},
          {"balanced_accuracy", {{"mean", balanced.mean}, {"low", balanced.low}, {"high", balanced.high}}},
          {"accuracy", interval_json(row.correct, audit.people(), seed)},
          {"majority_share", std::max(present, 1 - present)}};
}

// Of each photograph under test: whether the attribute is there, and whether the probe said so.
void add_answers(ScoreSheet& sheet, const AttributeRow& row, const AttributeAudit& audit) {
  const std::vector<int64_t> truth = audit.truth(row.attribute);
  const std::vector<TestPhotograph>& photographs = audit.photographs();
  for (size_t i = 0; i < photographs.size(); ++i)
    sheet.add({row.attribute, row.probe, row.trained_on, row.asked_about, photographs[i].file,
               person_text(photographs[i].person), std::to_string(truth[i]), score_text(row.correct[i])});
}

void print_attribute_row(const nlohmann::json& row) {
  std::printf("%-20s %-9s %-28s %-28s %-22s %-22s %.3f\n", row["attribute"].get<std::string>().c_str(),
              row["probe"].get<std::string>().c_str(), row["trained_on"].get<std::string>().c_str(),
              row["asked_about"].get<std::string>().c_str(), interval_text(row["balanced_accuracy"]).c_str(),
              interval_text(row["accuracy"]).c_str(), row["majority_share"].get<double>());
}

}  // namespace

int evaluate_attributes(AttributeOptions& o) {
  o.common.activate();
  install_interrupt_handler();
  check_protected_files(o.protected_files);
  as_usage([&] { check(!o.faces.labels.empty(), "--labels must name a file with attributes"); });
  o.faces.check_cut();
  check_writable({o.scores});
  ScoreSheet scores(
      o.scores, {"attribute", "probe", "trained_on", "asked_about", "image", "person", "present", "correct"});
  const Context context = console();
  AttributeAudit audit(settings_of(o), context);
  audit.prepare();
  nlohmann::json rows = nlohmann::json::array();
  audit.run([&](const AttributeRow& row) {
    rows.push_back(row_json(row, audit, o.common.seed));
    add_answers(scores, row, audit);
  });
  scores.commit();
  const std::vector<int64_t>& people = audit.people();
  o.common.write_json({{"part", o.split},
                       {"images", people.size()},
                       {"people", std::set(people.begin(), people.end()).size()},
                       {"train_images", audit.train_images()},
                       {"recogniser", o.faces.recogniser},
                       {"cut", audit.cut()},
                       {"protections", protections_json(audit.protections())},
                       {"left_out", left_out_json(audit.left_out())},
                       {"rows", rows}});
  std::printf("%-20s %-9s %-28s %-28s %-22s %-22s %s\n", "attribute", "probe", "trained on", "asked about",
              "balanced accuracy", "accuracy", "majority");
  for (const nlohmann::json& row : rows) print_attribute_row(row);
  print_left_out(audit.left_out());
  return 0;
}

CLI::App* add_attributes_verb(CLI::App& app, AttributeOptions& o) {
  CLI::App* sub = app.add_subcommand(
      "attributes", "what can be told of people from raw and protected features: probes trained in the run");
  o.faces.add_to(*sub);
  o.faces.add_labels_to(*sub);
  sub->add_option("--attributes", o.attributes, "columns of --labels, with commas between them")->required();
  sub->add_option("--split", o.split, "ask about the test people of the split, or its validation people")
      ->capture_default_str()
      ->check(CLI::IsMember({"test", "validation"}));
  sub->add_option("--epochs", o.epochs,
                  "passes of a probe over the training images, but 1,000 steps at least")
      ->capture_default_str()
      ->check(CLI::Range(1, 10000));
  sub->add_option("--width", o.width, "of the small network's hidden layer")
      ->capture_default_str()
      ->check(CLI::Range(1, 4096));
  sub->add_option("--split-seed", o.split_seed, "of the split by person: 80 % are trained on")
      ->capture_default_str()
      ->check(CLI::Range(uint64_t(0), uint64_t(INT64_MAX)))
      ->check(not_negative());
  sub->add_option("--scores", o.scores, "what was said of every single photograph (.tsv)");
  o.protect.add_to(*sub, "Protection");
  add_leaked_key(*sub, o.leaked_key);
  sub->add_option("--protected", o.protected_files, "protected features of all images, NAME=FILE (.npy)")
      ->group("Protection");
  sub->add_flag("--unseen", o.unseen,
                "train probes on nobody whom a network that protects was trained on: an attacker has people "
                "of his own")
      ->group("Protection");
  o.common.add_to(*sub);
  return sub;
}

}  // namespace advf::tools
