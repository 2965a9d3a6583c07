// advface-evaluate plot: curves with intervals from result files (.json, .jsonl, .csv) as a picture.
#include <charconv>
#include <cmath>
#include <iostream>
#include <limits>
#include <map>

#include "advface/core/json_text.h"
#include "advface/core/text_file.h"
#include "tensor/io/plot.h"
#include "tools/evaluate/evaluate.h"

namespace advf::tools {
namespace {

using nlohmann::json;

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

// NAME=FILE[,KEY=VALUE]... of --series.
struct SeriesSpec {
  std::string name, file, list, x = "x", y = "y", low, high;
  std::map<std::string, std::string> where;  // field -> what it must be
};

SeriesSpec parse_spec(const std::string& text) {
  SeriesSpec spec;
  bool first = true;
  for (const std::string_view part : split_fields(text, ',')) {
    const size_t equals = part.find('=');
    check(equals != std::string_view::npos && equals + 1 < part.size() && (first || equals > 0),
          "--series takes NAME=FILE[,KEY=VALUE]..., not \"", text, "\"");
    const std::string key(part.substr(0, equals)), value(part.substr(equals + 1));
    const std::map<std::string, std::string*> known{
        {"list", &spec.list}, {"x", &spec.x}, {"y", &spec.y}, {"low", &spec.low}, {"high", &spec.high}};
    if (first) {
      spec.name = key;
      spec.file = value;
    } else if (const auto found = known.find(key); found != known.end()) {
      *found->second = value;
    } else {
      check(spec.where.emplace(key, value).second, "--series ", text, ": names ", key, " twice");
    }
    first = false;
  }
  check(spec.low.empty() == spec.high.empty(), "--series ", text, ": low and high belong together");
  return spec;
}

bool parse_number(std::string_view text, double& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

// A field of a table: a number, nothing, or a text.
json cell(std::string_view text) {
  double value = 0;
  if (text.empty()) return nullptr;
  return parse_number(text, value) ? json(value) : json(std::string(text));
}

// A list of objects.
json to_rows(const Table& table) {
  json rows = json::array();
  for (const std::vector<std::string>& fields : table.rows) {
    json row = json::object();
    for (size_t k = 0; k < fields.size(); ++k) row[table.columns[k]] = cell(fields[k]);
    rows.push_back(std::move(row));
  }
  return rows;
}

json parse_lines(const std::string& text, const std::string& file) {
  json rows = json::array();
  const std::vector<std::string_view> lines = split_lines(text, file);
  for (size_t i = 0; i < lines.size(); ++i) {
    rows.push_back(parse_json(lines[i], file + ", line " + std::to_string(i + 1)));
    check(rows.back().is_object(), file, ", line ", i + 1, ": not a JSON object");
  }
  return rows;
}

// What stands at a path of names with dots between them; null where there is nothing.
const json& at_path(const json& from, std::string_view path) {
  static const json nothing;
  const json* at = &from;
  for (const std::string_view name : split_fields(path, '.')) {
    if (!at->is_object()) return nothing;
    const auto found = at->find(std::string(name));
    if (found == at->end()) return nothing;
    at = &*found;
  }
  return *at;
}

// The list of a result: what the spec names, else its rows or its history, else the result as the only point.
json parse_result(const std::string& text, const SeriesSpec& spec) {
  json whole = parse_json(text, spec.file);
  if (!spec.list.empty()) {
    json list = at_path(whole, spec.list);
    check(list.is_array(), spec.file, ": has no list \"", spec.list, "\"");
    return list;
  }
  if (whole.is_array()) return whole;
  for (const char* name : {"rows", "history"})
    if (whole.is_object() && whole.contains(name) && whole[name].is_array() && !whole[name].empty())
      return whole[name];
  return json::array({std::move(whole)});
}

json rows_of(const SeriesSpec& spec) {
  const std::string text = read_text(spec.file);
  if (spec.file.ends_with(".csv")) return to_rows(parse_table(text, spec.file));
  if (spec.file.ends_with(".jsonl")) return parse_lines(text, spec.file);
  return parse_result(text, spec);
}

bool matches(const json& row, const std::map<std::string, std::string>& where) {
  for (const auto& [path, wanted] : where) {
    const json& value = at_path(row, path);
    double number = 0;
    const bool same = value.is_string()                                   ? value == wanted
                      : value.is_number() && parse_number(wanted, number) ? value.get<double>() == number
                                                                          : value.dump() == wanted;
    if (!same) return false;
  }
  return true;
}

std::string names_of(const json& row) {
  std::string names;
  for (const auto& [name, unused] : row.items()) names += (names.empty() ? "" : ", ") + name;
  return names;
}

// A number, or that of an interval {mean, low, high} or {mean, std}; not a number where the file says null.
struct Value {
  double at = kNone, low = kNone, high = kNone;
};
Value value_at(const json& row, const std::string& path, const std::string& where) {
  const json& found = at_path(row, path);
  const auto number = [](const json& from, const char* name) {
    return from.contains(name) && from[name].is_number() ? from[name].get<double>() : kNone;
  };
  Value value;
  if (found.is_number()) {
    value.at = found.get<double>();
  } else if (found.is_object() && std::isfinite(number(found, "mean"))) {
    value.at = number(found, "mean");
    const double deviation = number(found, "std");
    value.low = std::isfinite(deviation) ? value.at - deviation : number(found, "low");
    value.high = std::isfinite(deviation) ? value.at + deviation : number(found, "high");
  } else {
    // A field that is there and empty is a gap in the curve; one that is not there is a mistake.
    const size_t dot = path.rfind('.');
    const json& holder = dot == std::string::npos ? row : at_path(row, path.substr(0, dot));
    const bool gap = found.is_null() && holder.is_object() &&
                     holder.contains(path.substr(dot == std::string::npos ? 0 : dot + 1));
    check(gap, where, ": no number at \"", path, "\"; there are: ", names_of(row));
  }
  return value;
}

// Adds the points of the file behind those that the series has.
void add_points(const SeriesSpec& spec, Series& series) {
  const json rows = rows_of(spec);
  size_t taken = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    const json& row = rows[i];
    const std::string where = spec.file + ", point " + std::to_string(i + 1);
    check(row.is_object(), where, ": not an object with names");
    if (!matches(row, spec.where)) continue;
    ++taken;
    Value y = value_at(row, spec.y, where);
    if (!spec.low.empty()) {
      y.low = value_at(row, spec.low, where).at;
      y.high = value_at(row, spec.high, where).at;
    } else if (spec.file.ends_with(".csv") && row.contains("low") && row.contains("high")) {
      y.low = value_at(row, "low", where).at;
      y.high = value_at(row, "high", where).at;
    }
    check(!(y.low > y.at) && !(y.high < y.at), where, ": the interval ", y.low, " to ", y.high,
          " does not hold ", y.at);
    series.xs.push_back(value_at(row, spec.x, where).at);
    series.ys.push_back(y.at);
    series.low.push_back(y.low);
    series.high.push_back(y.high);
  }
  std::string asked;
  for (const auto& [path, wanted] : spec.where) asked += (asked.empty() ? "" : ", ") + path + "=" + wanted;
  check(taken > 0, spec.file, ": no point", asked.empty() ? "" : " with ", asked);
}

}  // namespace

int evaluate_plot(PlotOptions& o) {
  o.common.activate();
  std::vector<SeriesSpec> specs;
  as_usage([&] {
    for (const std::string& text : o.series) {
      specs.push_back(parse_spec(text));
      const std::string& file = specs.back().file;
      check(file.ends_with(".csv") || file.ends_with(".json") || file.ends_with(".jsonl"), "--series ", text,
            ": neither a .csv, a .json nor a .jsonl");
    }
  });
  check_writable({o.out});
  std::vector<Series> curves;
  for (const SeriesSpec& spec : specs) {
    auto same =
        std::find_if(curves.begin(), curves.end(), [&](const Series& s) { return s.name == spec.name; });
    if (same == curves.end()) same = curves.insert(curves.end(), Series{spec.name, {}, {}, {}, {}});
    add_points(spec, *same);
  }
  size_t points = 0;
  json counts = json::object();
  for (const Series& s : curves) {
    points += s.xs.size();
    counts[s.name] = s.xs.size();
  }
  write_svg(o.out, svg_plot(o.title, curves, o.x_label, o.y_label, o.layout));
  o.common.write_json({{"out", o.out}, {"series", counts}});
  std::cout << o.out << ": " << curves.size() << " curves of " << points << " points\n";
  return 0;
}

CLI::App* add_plot_verb(CLI::App& app, PlotOptions& o) {
  CLI::App* sub = app.add_subcommand("plot", "curves with intervals from result files, as a picture (.svg)");
  o.layout = {.width = 900, .height = 600};
  sub->add_option("--out", o.out, "where the picture goes (.svg)")->required()->check(svg_file());
  sub->add_option("--series", o.series,
                  "NAME=FILE[,KEY=VALUE]...: points of a .csv, .json or .jsonl. Keys: x, y, low, high: the "
                  "fields of a point (default x and y; a.b is b within a); list: where the points stand; any "
                  "other: only points with this value there. The same NAME again goes on with the curve")
      ->required()
      ->allow_extra_args(false);
  sub->add_option("--title", o.title, "above the curves");
  sub->add_option("--x-label", o.x_label, "below the horizontal axis");
  sub->add_option("--y-label", o.y_label, "above the vertical axis");
  sub->add_option("--width", o.layout.width, "pixels")->capture_default_str()->check(CLI::Range(200, 8000));
  sub->add_option("--height", o.layout.height, "pixels")->capture_default_str()->check(CLI::Range(200, 8000));
  sub->add_option("--describe", o.layout.describes,
                  "what is seen, for readers who cannot see it (default: ranges and names)");
  sub->add_flag("--log-x", o.layout.log_x, "equal ratios of x take equal room");
  sub->footer(
      "Example:\n  advface-evaluate plot --out ssim.svg --title \"what an attacker gets\" --x-label epsilon "
      "\\\n"
      "    --y-label SSIM --series "
      "\"protected=r.json,attacker=transfer,kind=protected,moment_matched=false,x=epsilon,y=ssim\"");
  o.common.add_to(*sub);
  return sub;
}

}  // namespace advf::tools
