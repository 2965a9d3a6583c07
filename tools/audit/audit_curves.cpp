#include "tools/audit/audit_curves.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "tools/audit/audit_rows.h"
#include "tools/audit/audit_verdict.h"

namespace advf::tools {
namespace {

using nlohmann::json;

// The strongest attacker who counts.
const json* worst_row(const json& report, const json& protection, const LeakMeasure& m) {
  const json* worst = nullptr;
  for (const json& r : report["rows"])
    if (r["protection"] == protection && r["features"] == "protected" && r["counts"].value(m.leak, false) &&
        r["measures"].contains(m.measure) &&
        (!worst || r["measures"][m.measure]["mean"] > (*worst)["measures"][m.measure]["mean"]))
      worst = &r;
  return worst;
}

// A line at one height through the whole picture.
Series level(const char* name, double at, double left, double right) {
  Series line;
  line.name = name, line.xs = {left, right}, line.ys = {at, at}, line.marks = false;
  return line;
}

Plot curve_of(const json& report, const LeakMeasure& m) {
  Plot plot;
  plot.title = m.leak + ": " + m.says;
  plot.x_label = "accuracy of recognition, %", plot.y_label = m.measure;
  plot.layout = {.width = 900,
                 .height = 420,
                 .log_x = false,
                 .describes = "Of each protection the accuracy of recognition and the strongest attacker's " +
                              m.measure + "; the same numbers stand in the table of all rows."};
  Series points;
  points.name = "protections", points.line = false;
  std::vector<std::string> attackers;  // of each point
  double left = INFINITY, right = -INFINITY, nothing = NAN, raw = NAN;
  for (const json& v : report["verdicts"]) {
    const json* worst = worst_row(report, v["protection"], m);
    if (!worst || !v["cost"].contains("accuracy")) continue;
    const double x = 100 * v["cost"]["accuracy"].get<double>(),
                 most = 100 * v["cost"]["accuracy_raw"].get<double>();
    const json& value = (*worst)["measures"][m.measure];
    points.xs.push_back(x), points.ys.push_back(value["mean"]);
    points.low.push_back(value.value("low", double(NAN)));
    points.high.push_back(value.value("high", double(NAN)));
    points.labels.push_back(in_quotes(v["protection"]));
    attackers.push_back((*worst)["attacker"].get<std::string>());
    const BesideRow beside = beside_row(report, *worst, m);
    if (beside.nothing) nothing = *beside.nothing;
    if (beside.raw) raw = *beside.raw;
    left = std::min({left, x, most}), right = std::max({right, x, most});
  }
  if (points.xs.empty()) return plot;
  // One attacker for all stands beside the axis, where it crowds no point.
  if (std::ranges::all_of(attackers, [&](const std::string& a) { return a == attackers[0]; }))
    plot.y_label += ", by " + attackers[0];
  else
    for (size_t i = 0; i < attackers.size(); ++i) points.labels[i] += " (" + attackers[i] + ")";
  plot.series.push_back(points);
  if (right - left < 0.5) left -= 0.25, right += 0.25;
  if (std::isfinite(nothing)) plot.series.push_back(level("who has no feature", nothing, left, right));
  if (std::isfinite(raw)) plot.series.push_back(level("unprotected", raw, left, right));
  return plot;
}

// Whether it is the measure by which something was found of a protection.
bool finds(const json& report, const LeakMeasure& m) {
  return std::ranges::any_of(report["verdicts"], [&](const json& v) {
    const json& leak = v["leaks"][m.leak];
    return leak.value("measure", "") == m.measure && (leak["state"] == kOpen || leak["state"] == kPartly);
  });
}

}  // namespace

std::vector<Plot> privacy_curves(const json& report) {
  std::vector<Plot> all;
  for (const LeakMeasure& m : leak_measures())
    if (m.drawn || finds(report, m))
      if (Plot plot = curve_of(report, m); !plot.series.empty()) all.push_back(std::move(plot));
  return all;
}

}  // namespace advf::tools
