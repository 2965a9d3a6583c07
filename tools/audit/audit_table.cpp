// advface-audit table REPORT...: a report as a table in Markdown, for pages that quote it.
#include <algorithm>
#include <cstdio>
#include <iostream>

#include "advface/core/text_file.h"
#include "tensor/io/atomic_file.h"
#include "tools/audit/audit.h"
#include "tools/audit/audit_curves.h"
#include "tools/audit/audit_report.h"
#include "tools/audit/audit_rows.h"
#include "tools/audit/page_parts.h"

namespace advf::tools {
namespace {

using nlohmann::json;

struct Column {
  std::string attacker, measure, leak;
  const LeakMeasure* of;
};

// What each attacker is after, as far as the report has it.
std::vector<Column> columns_of(const json& report) {
  std::vector<Column> list;
  for (const AuditAttacker& a : audit_attackers())
    for (const LeakMeasure& m : leak_measures()) {
      if (m.leak != a.leak) continue;
      for (const json& row : report["rows"])
        if (row["attacker"] == a.name && row["measures"].contains(m.measure)) {
          list.push_back({a.name, m.measure, m.leak, &m});
          break;
        }
    }
  return list;
}

// Of an attacker's variants and seeds the strongest; in brackets where nobody who was asked counts.
std::string cell(const json& report, const std::string& protection, const Column& column, bool raw) {
  const json* worst = nullptr;
  const auto counts = [&](const json& row) { return row["counts"].value(column.leak, false); };
  for (const json& row : report["rows"]) {
    if (row["protection"] != protection || row["attacker"] != column.attacker ||
        row["features"] != (raw ? "raw" : "protected") || !row["measures"].contains(column.measure))
      continue;
    const auto value = [&](const json& r) {
      return judged_value(r["measures"], *column.of)->value["mean"].get<double>();
    };
    if (!worst || counts(row) > counts(*worst) ||
        (counts(row) == counts(*worst) && value(row) > value(*worst)))
      worst = &row;
  }
  if (!worst) return "";
  const std::string text = figure_number((*worst)["measures"][column.measure]);
  return counts(*worst) ? text : "(" + text + ")";
}

// A bar in a name would begin another cell.
std::string plain(std::string text) {
  std::ranges::replace(text, '|', '/');
  return text;
}

void print_table(const std::string& path, const json& report) {
  const std::vector<Column> columns = columns_of(report);
  const json &config = report["config"], &data = report["data"];
  std::cout << "Size " << report["size"].get<std::string>() << ", seed " << config["seed"] << ": "
            << data["test_images"] << " photographs of " << data["test_people"] << " people, trained on "
            << data["train_images"] << " of " << data["train_people"]
            << " others.\n\n| | verdict | accuracy | loss |";
  for (const Column& c : columns) std::cout << " " << c.attacker << ": " << c.measure << " |";
  std::cout << "\n|---|---|---|---|";
  for (size_t i = 0; i < columns.size(); ++i) std::cout << "---|";
  std::cout << "\n";
  for (const json& p : report["protections"]) {
    const std::string name = p["name"];
    const bool raw = &p == &report["protections"][0];
    std::string verdict, accuracy, loss;
    for (const json& v : report["verdicts"])
      if (v["protection"] == name) verdict = v["verdict"];
    for (const json& row : report["rows"])
      if (row["protection"] == name && row["attacker"] == kAccuracy)
        accuracy = figure_number(row["measures"]["accuracy"], 4),
        loss = row["measures"].contains("accuracy_loss") ? figure_number(row["measures"]["accuracy_loss"], 4)
                                                         : "";
    std::cout << "| " << plain(raw ? "raw features" : in_quotes(name)) << " | " << verdict << " | "
              << accuracy << " | " << loss << " |";
    for (const Column& c : columns) std::cout << " " << cell(report, name, c, raw) << " |";
    std::cout << "\n";
  }
  check(std::cout.good(), path, ": its table cannot be written");
}

void write_picture(const std::string& to, const std::string& path, const json& report) {
  const std::vector<Plot> curves = privacy_curves(report);
  check(!curves.empty(), path, ": nobody who counts says anything of a protection, so there is no curve");
  AtomicFile file(to);
  file.write(svg_stack("What privacy costs: protections by accuracy, and what is learnt of each", curves));
  file.commit();
}

}  // namespace

int audit_table(TableCall& call) {
  call.common.activate();
  as_usage([&] {
    check(call.picture.empty() || call.reports.size() == 1, "--picture takes one report, not ",
          call.reports.size());
  });
  for (const std::string& path : call.reports) {
    const json report = read_audit_report(path);
    if (&path != &call.reports[0]) std::cout << "\n";
    print_table(path, report);
    if (!call.picture.empty()) write_picture(call.picture, path, report);
  }
  std::cout << std::flush;
  return 0;
}

CLI::App* add_table_verb(CLI::App& app, TableCall& call) {
  CLI::App* sub = app.add_subcommand(
      "table", "reports as tables in Markdown; a number in brackets is of an attacker who does not count");
  sub->add_option("reports", call.reports, "report.json of one audit or more")->required();
  sub->add_option("--picture", call.picture, "what privacy costs, as curves, of one report (.svg)")
      ->check(svg_file());
  call.common.add_to(*sub);
  return sub;
}

}  // namespace advf::tools
