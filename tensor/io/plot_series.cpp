#include "tensor/io/plot_series.h"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace advf {
namespace {

// The colours of Okabe and Ito, which people who are blind to some colours tell apart, the darker ones first;
// their yellow is not seen on white, and their black is the ink of the page.
constexpr const char* kColours[] = {"#0072B2", "#D55E00", "#009E73", "currentColor",
                                    "#CC79A7", "#E69F00", "#56B4E9"};
constexpr const char* kDashes[] = {"", "7 4", "2 3", "9 3 2 3", "14 3"};
constexpr size_t kMostPoints = 4000;
constexpr double kMarkRadius = 4, kLabelGap = 3;

// Shapes of marks around 0, in units of their radius; the first is a disc.
constexpr const char* kShapes[] = {
    "disc",
    "M-0.9 -0.9H0.9V0.9H-0.9Z",
    "M0 -1.3L1.3 0L0 1.3L-1.3 0Z",
    "M0 -1.2L1.15 0.85H-1.15Z",
    "M0 1.2L1.15 -0.85H-1.15Z",
    "M-0.4 -1.3H0.4V-0.4H1.3V0.4H0.4V1.3H-0.4V0.4H-1.3V-0.4H-0.4Z",
};

template <size_t N>
const char* of(const char* const (&list)[N], size_t k) {
  return list[k % N];
}

std::string xy(double x, double y) { return svg_coordinate(x) + " " + svg_coordinate(y); }

std::string attribute(const char* name, const std::string& value) {
  return std::string(" ") + name + "=\"" + value + "\"";
}

std::string svg_mark(size_t k, double x, double y, double radius) {
  const std::string shape = of(kShapes, k), fill = attribute("fill", of(kColours, k));
  if (shape == "disc")
    return "<circle" + attribute("cx", svg_coordinate(x)) + attribute("cy", svg_coordinate(y)) +
           attribute("r", svg_coordinate(radius)) + fill + "/>";
  const std::string place = "translate(" + xy(x, y) + ") scale(" + svg_coordinate(radius) + ")";
  return "<path" + attribute("transform", place) + attribute("d", shape) + fill + "/>";
}

std::string svg_path(size_t k, const std::string& d, double width, bool dashed) {
  if (d.empty()) return "";
  const std::string dashes = of(kDashes, k);
  return "<path fill=\"none\"" + attribute("stroke", of(kColours, k)) +
         attribute("stroke-width", svg_coordinate(width)) + " stroke-linejoin=\"round\"" +
         (dashed && !dashes.empty() ? attribute("stroke-dasharray", dashes) : "") + attribute("d", d) +
         "/>\n";
}

// Neither NaN nor so large that differences overflow.
bool usable(double v) { return std::abs(v) < 1e300; }

// The points that are drawn, by number, in order.
std::vector<size_t> drawn_points(const Series& s, bool log_x) {
  std::vector<size_t> kept;
  const size_t n = s.xs.size();
  if (n <= kMostPoints) {
    for (size_t i = 0; i < n; ++i) kept.push_back(i);
    return kept;
  }
  constexpr size_t kRuns = kMostPoints / 4;
  for (size_t run = 0; run < kRuns; ++run) {
    const size_t begin = run * n / kRuns, end = (run + 1) * n / kRuns;
    size_t first = n, lowest = n, highest = n, gap = n;
    for (size_t i = begin; i < end; ++i) {
      if (!is_drawable(s, i, log_x)) {
        gap = std::min(gap, i);
        continue;
      }
      if (first == n) first = lowest = highest = i;
      if (s.ys[i] < s.ys[lowest]) lowest = i;
      if (s.ys[i] > s.ys[highest]) highest = i;
    }
    const size_t before = kept.size();
    for (const size_t i : {first, lowest, highest, gap})
      if (i < n) kept.push_back(i);
    std::sort(kept.begin() + std::ptrdiff_t(before), kept.end());
    kept.erase(std::unique(kept.begin() + std::ptrdiff_t(before), kept.end()), kept.end());
  }
  return kept;
}

struct Box {
  double left, top, right, bottom;
  bool meets(const Box& o) const {
    return left < o.right && o.left < right && top < o.bottom && o.top < bottom;
  }
  bool within(const Box& o) const {
    return left >= o.left && right <= o.right && top >= o.top && bottom <= o.bottom;
  }
};

// Where a label of this size may stand about a point, the better places first.
std::vector<Box> places_about(double x, double y, double width, double height) {
  const double away = kMarkRadius + kLabelGap, half = height / 2;
  const auto at = [&](double left, double top) { return Box{left, top, left + width, top + height}; };
  std::vector<Box> places{at(x + away, y - half),
                          at(x - away - width, y - half),
                          at(x - width / 2, y - away - height),
                          at(x - width / 2, y + away),
                          at(x + kLabelGap, y - away - height),
                          at(x + kLabelGap, y + away),
                          at(x - kLabelGap - width, y - away - height),
                          at(x - kLabelGap - width, y + away)};
  for (int far = 2; far <= 4; ++far) {
    places.push_back(at(x + kLabelGap, y - away - far * height));
    places.push_back(at(x + kLabelGap, y + away + (far - 1) * height));
  }
  return places;
}

}  // namespace

bool is_drawable(const Series& s, size_t i, bool log_x) {
  return usable(s.xs[i]) && usable(s.ys[i]) && (!log_x || s.xs[i] > 1e-300);
}

bool has_bar(const Series& s, size_t i) { return !s.low.empty() && usable(s.low[i]) && usable(s.high[i]); }

std::string svg_sample(const Series& series, size_t k, double x, double y, double width) {
  std::string out;
  if (series.line)
    out += svg_path(k, "M" + xy(x - width / 2, y) + "H" + svg_coordinate(x + width / 2), 2, true);
  return out + (series.marks ? svg_mark(k, x, y, kMarkRadius) + "\n" : "");
}

std::string svg_series(const Series& series, size_t k, const PlotFrame& f) {
  std::string line, bars, marks;
  size_t connected = 0;  // points of the piece of line so far
  double last_x = 0, last_y = 0;
  // A point without neighbours has no line, and would not be seen without a mark.
  const auto end_piece = [&] {
    if (series.line && !series.marks && connected == 1) marks += svg_mark(k, last_x, last_y, 2) + "\n";
    connected = 0;
  };
  for (const size_t i : drawn_points(series, f.x.log)) {
    if (!is_drawable(series, i, f.x.log)) {
      end_piece();
      continue;
    }
    const double x = f.x.position(series.xs[i]), y = f.y.position(series.ys[i]);
    if (series.line) line += (connected ? "L" : "M") + xy(x, y);
    if (has_bar(series, i)) {
      const double low = f.y.position(series.low[i]), high = f.y.position(series.high[i]);
      bars += "M" + xy(x, low) + "V" + svg_coordinate(high);
      for (const double end : {low, high}) bars += "M" + xy(x - 4, end) + "h8";
    }
    if (series.marks) marks += svg_mark(k, x, y, kMarkRadius) + "\n";
    last_x = x;
    last_y = y;
    ++connected;
  }
  end_piece();
  return "<g class=\"series\">\n" + svg_path(k, bars, 1.25, false) + svg_path(k, line, 2, true) + marks +
         "</g>\n";
}

std::string svg_point_labels(const std::vector<Series>& series, const PlotFrame& f, double size) {
  std::vector<Box> taken;
  const Lettering letters = svg_letters(size);
  const Box frame{f.x.from, f.y.to, f.x.to, f.y.from};
  const auto each_point = [&](const auto& visit) {
    for (const Series& s : series)
      if (!s.labels.empty())
        for (const size_t i : drawn_points(s, f.x.log))
          if (is_drawable(s, i, f.x.log)) visit(s.labels[i], f.x.position(s.xs[i]), f.y.position(s.ys[i]));
  };
  each_point([&](const std::string&, double x, double y) {
    taken.push_back({x - kMarkRadius, y - kMarkRadius, x + kMarkRadius, y + kMarkRadius});
  });
  std::string out;
  each_point([&](const std::string& label, double x, double y) {
    const std::string text = shortened(label, (f.x.to - f.x.from) / 2, letters);
    if (text.empty()) return;
    const std::vector<Box> places = places_about(x, y, letters.width(text), size);
    const auto free = [&](const Box& place) {
      return place.within(frame) &&
             std::none_of(taken.begin(), taken.end(), [&](const Box& o) { return place.meets(o); });
    };
    auto best = std::find_if(places.begin(), places.end(), free);
    if (best == places.end())
      best = std::find_if(places.begin(), places.end(), [&](const Box& b) { return b.within(frame); });
    if (best == places.end()) best = places.begin();
    taken.push_back(*best);
    out += "<text" + attribute("x", svg_coordinate(best->left)) +
           attribute("y", svg_coordinate(best->bottom - 0.2 * size)) +
           attribute("font-size", svg_coordinate(size)) + ">" + svg_escaped(text) + "</text>\n";
  });
  return out.empty() ? "" : "<g class=\"labels\">\n" + out + "</g>\n";
}

}  // namespace advf
