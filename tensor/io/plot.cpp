#include "tensor/io/plot.h"

#include <algorithm>
#include <cmath>

#include "tensor/check.h"
#include "tensor/hash.h"
#include "tensor/io/plot_series.h"

namespace advf {
namespace {

constexpr double kMargin = 12, kTextSize = 13, kTitleSize = 16, kLabelSize = 12, kLineFactor = 1.3;
constexpr double kTick = 5, kLeastCurves = 120;  // pixels that the curves are high at the least
constexpr size_t kMostLines = 3;                 // of a title, a label or a name

double line_step(double size) { return std::ceil(kLineFactor * size); }

struct TextPlace {
  double x, y;  // of the baseline
  const char* anchor = "start";
  double size = kTextSize;
};

std::string svg_text(const std::string& text, const TextPlace& at, const std::string& more = "") {
  return "<text x=\"" + svg_coordinate(at.x) + "\" y=\"" + svg_coordinate(at.y) + "\"" +
         (at.anchor == std::string("start") ? "" : std::string(" text-anchor=\"") + at.anchor + "\"") +
         (at.size == kTextSize ? "" : " font-size=\"" + svg_coordinate(at.size) + "\"") + more + ">" +
         svg_escaped(text) + "</text>\n";
}

// Lines below each other, the first one's top at `top`.
std::string svg_lines(const std::vector<std::string>& lines, double x, double top, const char* anchor,
                      double size, const std::string& more = "") {
  std::string out;
  for (const std::string& line : lines) {
    out += svg_text(line, {x, top + size, anchor, size}, more);
    top += line_step(size);
  }
  return out;
}

// Every how manieth number has room; `widths` are those of the numbers, along the axis.
size_t label_stride(const Axis& axis, const std::vector<double>& widths, double gap) {
  for (size_t stride = 1;; ++stride) {
    bool fits = true;
    for (size_t i = stride; i < axis.ticks.size(); i += stride) {
      const double apart = std::abs(axis.position(axis.ticks[i]) - axis.position(axis.ticks[i - stride]));
      fits = fits && apart >= (widths[i] + widths[i - stride]) / 2 + gap;
    }
    if (fits) return stride;
  }
}

std::vector<double> widths_of(const std::vector<std::string>& texts) {
  std::vector<double> widths;
  for (const std::string& text : texts) widths.push_back(svg_letters(kTextSize).width(text));
  return widths;
}

std::string svg_axes(const PlotFrame& f) {
  const Axis &x = f.x, &y = f.y;
  const std::vector<std::string> xs = x.labels(), ys = y.labels();
  const size_t every_x = label_stride(x, widths_of(xs), 8);
  const size_t every_y = label_stride(y, std::vector<double>(ys.size(), kTextSize), 2);
  std::string grid, ticks, numbers;
  const std::string left = svg_coordinate(x.from), right = svg_coordinate(x.to), top = svg_coordinate(y.to),
                    bottom = svg_coordinate(y.from);
  for (size_t i = 0; i < xs.size(); ++i) {
    const double at = x.position(x.ticks[i]);
    grid += "M" + svg_coordinate(at) + " " + bottom + "V" + top;
    ticks += "M" + svg_coordinate(at) + " " + bottom + "v" + svg_coordinate(kTick);
    if (i % every_x == 0)
      numbers += svg_text(xs[i], {at, y.from + kTick + 1 + kTextSize, "middle"}, " class=\"x\"");
  }
  for (size_t i = 0; i < ys.size(); ++i) {
    const double at = y.position(y.ticks[i]);
    grid += "M" + left + " " + svg_coordinate(at) + "H" + right;
    ticks += "M" + left + " " + svg_coordinate(at) + "h" + svg_coordinate(-kTick);
    if (i % every_y == 0)
      numbers += svg_text(ys[i], {x.from - kTick - 3, at + 0.35 * kTextSize, "end"}, " class=\"y\"");
  }
  return "<path fill=\"none\" stroke=\"currentColor\" stroke-opacity=\"0.15\" d=\"" + grid +
         "\"/>\n<path fill=\"none\" stroke=\"currentColor\" d=\"M" + left + " " + top + "V" + bottom + "H" +
         right + ticks + "\"/>\n" + numbers;
}

// Below the plot, in columns of equal width.
class Legend {
 public:
  Legend(const std::vector<Series>& series, double width) : series_(series) {
    const Lettering letters = svg_letters(kTextSize);
    double widest = 0;
    for (size_t k = 0; k < series.size(); ++k) {
      std::vector<std::string> lines =
          wrapped(series[k].name, width - kSample - kBefore, letters, kMostLines);
      if (lines.empty()) continue;
      for (const std::string& line : lines) widest = std::max(widest, letters.width(line));
      entries_.push_back({k, std::move(lines)});
    }
    column_ = kSample + kBefore + widest + kBetween;
    columns_ = size_t(std::max(1.0, std::floor((width + kBetween) / column_)));
    for (size_t i = 0; i < entries_.size(); i += columns_) rows_.push_back(row_lines(i));
  }
  double height() const {
    double sum = rows_.empty() ? 0 : kAbove;
    for (const size_t lines : rows_) sum += double(lines) * line_step(kTextSize);
    return sum;
  }
  std::string draw(double x, double y) const {
    std::string out;
    y += kAbove;
    for (size_t i = 0; i < entries_.size(); ++i) {
      const auto& [k, lines] = entries_[i];
      const double left = x + double(i % columns_) * column_;
      out += svg_sample(series_[k], k, left + kSample / 2, y + 0.65 * kTextSize, kSample);
      out += svg_lines(lines, left + kSample + kBefore, y, "start", kTextSize);
      if (i % columns_ + 1 == columns_) y += double(rows_[i / columns_]) * line_step(kTextSize);
    }
    return out.empty() ? "" : "<g class=\"legend\">\n" + out + "</g>\n";
  }

 private:
  static constexpr double kSample = 32, kBefore = 8, kBetween = 22, kAbove = 10;
  struct Entry {
    size_t series;
    std::vector<std::string> lines;
  };
  size_t row_lines(size_t first) const {
    size_t most = 0;
    for (size_t i = first; i < std::min(first + columns_, entries_.size()); ++i)
      most = std::max(most, entries_[i].lines.size());
    return most;
  }

  const std::vector<Series>& series_;
  std::vector<Entry> entries_;
  std::vector<size_t> rows_;  // lines of each
  double column_ = 0;
  size_t columns_ = 1;
};

void check_plot(const Plot& plot) {
  const PlotLayout& l = plot.layout;
  check(std::min(l.width, l.height) >= 200 && std::max(l.width, l.height) <= 8000, "a picture of ", l.width,
        " x ", l.height, " pixels; 200 to 8000 are possible");
  for (const Series& s : plot.series) {
    check(s.xs.size() == s.ys.size(), "the curve \"", s.name, "\" has ", s.xs.size(), " x and ", s.ys.size(),
          " y");
    check(s.low.size() == s.high.size() && (s.low.empty() || s.low.size() == s.ys.size()), "the curve \"",
          s.name, "\" has ", s.ys.size(), " y, but intervals with ", s.low.size(), " lower and ",
          s.high.size(), " upper ends");
    check(s.labels.empty() || s.labels.size() == s.ys.size(), "the curve \"", s.name, "\" has ", s.ys.size(),
          " points and ", s.labels.size(), " labels");
  }
}

// The axes that hold every point and bar; where they stand is not said yet.
PlotFrame ranges_of(const Plot& plot) {
  std::vector<double> xs, ys;
  for (const Series& s : plot.series)
    for (size_t i = 0; i < s.xs.size(); ++i) {
      if (!is_drawable(s, i, plot.layout.log_x)) continue;
      xs.push_back(s.xs[i]);
      ys.push_back(s.ys[i]);
      if (has_bar(s, i)) ys.insert(ys.end(), {s.low[i], s.high[i]});
    }
  return {plot.layout.log_x ? log_axis_for(xs) : axis_for(xs), axis_for(ys)};
}

std::string description_of(const Plot& plot, const PlotFrame& f) {
  if (!plot.layout.describes.empty()) return plot.layout.describes;
  const auto range = [](const Axis& axis, const std::string& label) {
    const std::vector<std::string> numbers = axis.labels();
    return (label.empty() ? "" : label + " ") + "from " + numbers.front() + " to " + numbers.back();
  };
  std::string text = "A plot. Across: " + range(f.x, plot.x_label) + (f.x.log ? ", by ratios" : "") +
                     ". Upwards: " + range(f.y, plot.y_label) + ". ";
  size_t named = 0;
  for (const Series& s : plot.series) {
    if (s.name.empty()) continue;
    text += (named++ ? "; " : "Shown: ") + s.name + " (" + std::to_string(s.xs.size()) +
            (s.xs.size() == 1 ? " point)" : " points)");
  }
  return text + (named ? "." : "");
}

// The insides of an <svg> element, and its height, which a legend may enlarge.
struct Drawing {
  std::string title, description, body;
  double width = 0, height = 0;
};

Drawing draw(const Plot& plot) {
  check_plot(plot);
  PlotFrame f = ranges_of(plot);
  const double width = plot.layout.width, inner = width - 2 * kMargin, step = line_step(kTextSize);
  const auto fitted = [](const std::string& text, double room, double size) {
    return wrapped(text, room, svg_letters(size), kMostLines);
  };
  const auto title = fitted(plot.title, inner, kTitleSize), y_label = fitted(plot.y_label, inner, kTextSize);
  const std::vector<double> y_widths = widths_of(f.y.labels()), x_widths = widths_of(f.x.labels());
  f.x.from = kMargin + *std::max_element(y_widths.begin(), y_widths.end()) + kTick + 3;
  f.x.to = width - kMargin - std::max(x_widths.back() / 2, 4.0);
  const auto x_label = fitted(plot.x_label, f.x.to - f.x.from, kTextSize);
  const Legend legend(plot.series, inner);

  const double title_height = title.empty() ? 0 : double(title.size()) * line_step(kTitleSize) + 4;
  f.y.to = kMargin + title_height + double(y_label.size()) * step + (y_label.empty() ? 4 : 8);
  const double numbers = kTick + step + 4,
               below = numbers + double(x_label.size()) * step + legend.height() + kMargin;
  f.y.from = std::max(plot.layout.height - below, f.y.to + kLeastCurves);

  Drawing out{plot.title, description_of(plot, f), "", width, f.y.from + below};
  out.body += svg_lines(title, kMargin, kMargin, "start", kTitleSize, " font-weight=\"600\"");
  out.body += svg_lines(y_label, kMargin, kMargin + title_height, "start", kTextSize);
  out.body += svg_axes(f);
  out.body += svg_lines(x_label, (f.x.from + f.x.to) / 2, f.y.from + numbers, "middle", kTextSize);
  for (size_t k = 0; k < plot.series.size(); ++k) out.body += svg_series(plot.series[k], k, f);
  out.body += svg_point_labels(plot.series, f, kLabelSize);
  out.body += legend.draw(kMargin, f.y.from + below - kMargin - legend.height());
  return out;
}

// Ids are those of the content, so that several pictures stand in one page; `number` tells equal ones in one
// picture apart. `place`: further attributes.
std::string svg_element(const Drawing& d, size_t number, const char* role, const std::string& place) {
  uint64_t hash = fnv1a(std::to_string(number));
  for (const std::string* part : {&d.title, &d.description, &d.body}) hash = fnv1a(*part, hash);
  const std::string id = "plot" + hex(hash);
  const std::string w = svg_coordinate(d.width), h = svg_coordinate(d.height);
  return "<svg" + place + " role=\"" + role + "\" aria-labelledby=\"" + id + "-title " + id +
         "-desc\" viewBox=\"0 0 " + w + " " + h + "\" width=\"" + w + "\" height=\"" + h +
         "\">\n<title id=\"" + id + "-title\">" + svg_escaped(d.title.empty() ? "plot" : d.title) +
         "</title>\n<desc id=\"" + id + "-desc\">" + svg_escaped(d.description) + "</desc>\n" + d.body +
         "</svg>";
}

constexpr const char* kRoot =
    " xmlns=\"http://www.w3.org/2000/svg\" font-family=\"system-ui, sans-serif\" font-size=\"13\" "
    "fill=\"currentColor\"";

}  // namespace

std::string svg_plot(const std::string& title, const std::vector<Series>& series, const std::string& x_label,
                     const std::string& y_label, const PlotLayout& layout) {
  return svg_element(draw({title, series, x_label, y_label, layout}), 0, "img", kRoot);
}

std::string svg_stack(const std::string& title, const std::vector<Plot>& plots) {
  check(!plots.empty(), "no plot to put into a picture");
  Drawing all{title, std::to_string(plots.size()) + " plots, one below the other.", "", 0, 0};
  for (size_t i = 0; i < plots.size(); ++i) {
    const Drawing one = draw(plots[i]);
    all.body += svg_element(one, i + 1, "img", " y=\"" + svg_coordinate(all.height) + "\"") + "\n";
    all.width = std::max(all.width, one.width);
    all.height += one.height;
  }
  return svg_element(all, 0, "group", kRoot);
}

}  // namespace advf
