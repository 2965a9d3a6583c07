#include "tensor/io/plot.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>

#include "tensor/check.h"
#include "tensor/io/draw.h"

namespace advf {
namespace {

constexpr Colour kSeriesColours[] = {{31, 119, 180}, {214, 39, 40},  {44, 140, 44}, {148, 103, 189},
                                     {230, 120, 10}, {23, 170, 190}, {120, 75, 60}, {110, 110, 110}};

constexpr Colour kGrid{228, 228, 228};

// One axis: the range in numbers and in pixels, and where its round numbers stand.
struct Axis {
  double low = 0, high = 1;
  bool log = false;
  int from = 0, to = 0;  // pixels of low and high
  std::vector<double> ticks = {};
  int pixel(double v) const {
    const double share = log ? std::log(v / low) / std::log(high / low) : (v - low) / (high - low);
    return from + int(std::lround(share * (to - from)));
  }
};

// A range that holds all values, its ends multiples of a step of 1, 2 or 5 times a power of ten, about five
// steps.
Axis axis_for(const std::vector<double>& values, int from, int to) {
  Axis axis{.from = from, .to = to};
  double low = 0, high = 1;
  if (!values.empty()) {
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    low = *least;
    high = *most;
  }
  // A range too narrow to be told apart in a double is widened.
  if (high - low <= std::max(std::abs(low), std::abs(high)) * 1e-9) {
    const double pad = std::abs(low) > 1e-200 ? std::abs(low) * 0.1 : 1;
    low -= pad;
    high += pad;
  }
  const double rough = high / 5 - low / 5, power = std::pow(10, std::floor(std::log10(rough)));
  const double factor = rough / power;
  const double step = (factor < 1.5 ? 1 : factor < 3.5 ? 2 : factor < 7.5 ? 5 : 10) * power;
  axis.low = std::floor(low / step + 1e-9) * step;
  axis.high = std::ceil(high / step - 1e-9) * step;
  for (int i = 0, n = int(std::lround((axis.high - axis.low) / step)); i <= n; ++i) {
    const double v = axis.low + i * step;
    axis.ticks.push_back(std::abs(v) < step * 1e-6 ? 0 : v);
  }
  return axis;
}

// The same for positive values, with 1, 2 and 5 of each power of ten, or the powers alone where these are
// many.
Axis log_axis_for(const std::vector<double>& values, int from, int to) {
  Axis axis{.log = true, .from = from, .to = to};
  double low = 1, high = 10;
  if (!values.empty()) {
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    low = *least;
    high = *most;
  }
  const int first = int(std::floor(std::log10(low))), last = int(std::ceil(std::log10(high)));
  const bool all = last - first <= 3;
  std::vector<double> round;
  for (int power = first; power <= last; power += std::max(1, (last - first) / 6))
    for (const double factor : {1.0, 2.0, 5.0})
      if (all || factor == 1) round.push_back(factor * std::pow(10, power));
  round.push_back(std::pow(10, last + 1));
  // From the last round number that is not above the values to the first that is not below them.
  size_t begin = 0, end = 1;
  while (begin + 2 < round.size() && round[begin + 1] <= low * (1 + 1e-9)) ++begin;
  end = begin + 1;
  while (end + 1 < round.size() && round[end] < high * (1 - 1e-9)) ++end;
  axis.ticks.assign(round.begin() + std::ptrdiff_t(begin), round.begin() + std::ptrdiff_t(end + 1));
  axis.low = axis.ticks.front();
  axis.high = axis.ticks.back();
  return axis;
}

std::string number(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.5g", v);
  return text;
}

// Neither NaN nor so large that differences overflow.
bool usable(double v) { return std::abs(v) < 1e300; }
bool drawable(const Series& s, size_t i, bool log_x) {
  return usable(s.xs[i]) && usable(s.ys[i]) && (!log_x || s.xs[i] > 1e-300);
}
bool has_bar(const Series& s, size_t i) { return !s.low.empty() && usable(s.low[i]) && usable(s.high[i]); }

Mark mark_of(size_t k) {
  constexpr Mark kMarks[] = {Mark::disc, Mark::square, Mark::diamond, Mark::triangle};
  return kMarks[k % std::size(kMarks)];
}
Colour colour_of(size_t k) { return kSeriesColours[k % std::size(kSeriesColours)]; }

// Where things stand, in pixels; `s` is the layout's scale.
struct Frame {
  Axis x, y;
  int s = 1;
};

void draw_series(Image& out, const Series& series, const Frame& f, size_t k) {
  const Colour colour = colour_of(k);
  const double thick = f.s;
  double last_x = 0, last_y = 0;
  bool connected = false;
  for (size_t i = 0; i < series.xs.size(); ++i) {
    const bool drawn = drawable(series, i, f.x.log);
    if (drawn) {
      const double px = f.x.pixel(series.xs[i]), py = f.y.pixel(series.ys[i]);
      if (connected) draw_stroke(out, last_x, last_y, px, py, 1 + thick, colour);
      if (has_bar(series, i)) {
        const double low = f.y.pixel(series.low[i]), high = f.y.pixel(series.high[i]), half = 1 + 2 * thick;
        draw_stroke(out, px, low, px, high, thick, colour);
        for (const double end : {low, high}) draw_stroke(out, px - half, end, px + half, end, thick, colour);
      }
      if (series.marks) draw_mark(out, px, py, 1 + 2 * thick, mark_of(k), colour);
      last_x = px;
      last_y = py;
    }
    connected = drawn;
  }
}

void draw_axes(Image& out, const Frame& f) {
  const Axis &x = f.x, &y = f.y;
  for (const double v : x.ticks) {
    const std::string text = number(v);
    draw_line(out, x.pixel(v), y.from, x.pixel(v), y.to, kGrid);
    fill_rectangle(out, x.pixel(v), y.from, 1, 4 * f.s, kBlack);
    draw_text(out, x.pixel(v) - text_width(text, f.s) / 2, y.from + 6 * f.s, text, kBlack, f.s);
  }
  for (const double v : y.ticks) {
    const std::string text = number(v);
    draw_line(out, x.from, y.pixel(v), x.to, y.pixel(v), kGrid);
    fill_rectangle(out, x.from - 4 * f.s, y.pixel(v), 4 * f.s, 1, kBlack);
    draw_text(out, x.from - 6 * f.s - text_width(text, f.s), y.pixel(v) - (kGlyphHeight - 1) * f.s / 2, text,
              kBlack, f.s);
  }
  fill_rectangle(out, x.from, y.from, x.to - x.from + 1, f.s, kBlack);
  fill_rectangle(out, x.from - f.s + 1, y.to, f.s, y.from - y.to + f.s, kBlack);
}

// The widest number beside the vertical axis.
int widest_number(const Axis& y, int scale) {
  int widest = 0;
  for (const double v : y.ticks) widest = std::max(widest, text_width(number(v), scale));
  return widest;
}

// The legend stands to the right of the curves and takes at most a third of the picture; long names are
// broken.
class Legend {
 public:
  Legend(const std::vector<Series>& series, const PlotLayout& layout) : s_(layout.scale) {
    const int most = std::max(layout.width / 3 - kSample * s_, kLetterStep * s_);
    for (const Series& one : series) marks_.push_back(one.marks);
    for (const Series& one : series) names_.push_back(wrap_text(one.name, size_t(most / (kLetterStep * s_))));
    for (const auto& lines : names_)
      for (const std::string& line : lines) width_ = std::max(width_, kSample * s_ + text_width(line, s_));
  }
  int width() const { return width_; }
  void draw(Image& out, int x, int y) const {
    for (size_t k = 0; k < names_.size(); ++k) {
      if (names_[k].empty()) continue;
      const int middle = y + (kGlyphHeight - 1) * s_ / 2;
      draw_stroke(out, x, middle, x + 16 * s_, middle, 1 + s_, colour_of(k));
      if (marks_[k]) draw_mark(out, x + 8 * s_, middle, 1 + 2 * s_, mark_of(k), colour_of(k));
      for (const std::string& line : names_[k]) {
        draw_text(out, x + kSample * s_, y, line, kBlack, s_);
        y += kLineStep * s_;
      }
      y += 4 * s_;
    }
  }

 private:
  static constexpr int kSample = 22;  // the piece of line before a name, at scale 1
  int s_, width_ = 0;
  std::vector<std::vector<std::string>> names_;
  std::vector<bool> marks_;
};

void check_series(const Series& s) {
  check(s.xs.size() == s.ys.size(), "the curve \"", s.name, "\" has ", s.xs.size(), " x and ", s.ys.size(),
        " y");
  check(s.low.size() == s.high.size() && (s.low.empty() || s.low.size() == s.ys.size()), "the curve \"",
        s.name, "\" has ", s.ys.size(), " y, but intervals with ", s.low.size(), " lower and ", s.high.size(),
        " upper ends");
}

}  // namespace

Image line_plot(const std::string& title, const std::vector<Series>& series, const std::string& x_label,
                const std::string& y_label, const PlotLayout& layout) {
  const int width = layout.width, height = layout.height, s = layout.scale;
  check(std::min(width, height) >= 200 && std::max(width, height) <= 8000 && s >= 1 && s <= 8,
        "a picture of ", width, " x ", height, " pixels at scale ", s,
        "; 200 to 8000 pixels at 1 to 8 are possible");
  std::vector<double> xs, ys;
  for (const Series& one : series) {
    check_series(one);
    for (size_t i = 0; i < one.xs.size(); ++i) {
      if (!drawable(one, i, layout.log_x)) continue;
      xs.push_back(one.xs[i]);
      ys.push_back(one.ys[i]);
      if (has_bar(one, i)) ys.insert(ys.end(), {one.low[i], one.high[i]});
    }
  }
  Image out(width, height, 3, 255);
  const int margin = 8 * s, title_scale = text_width(title, s + 1) + 2 * margin <= width ? s + 1 : s;
  const int top = margin + (title.empty() ? 0 : kLineStep * title_scale + 6 * s) +
                  (y_label.empty() ? 4 * s : (kLineStep + 6) * s);
  const Legend legend(series, layout);
  Frame f;
  f.s = s;
  f.y = axis_for(ys, height - (x_label.empty() ? 24 : 40) * s, top);
  const int left = margin + std::max(widest_number(f.y, s), 12 * s) + 6 * s;
  // The last number of the horizontal axis stands half beyond it.
  const int right = width - margin - std::max(legend.width() + 14 * s, 12 * s);
  f.x = layout.log_x ? log_axis_for(xs, left, right) : axis_for(xs, left, right);
  draw_text(out, margin, margin, title, kBlack, title_scale);
  draw_text(out, margin, top - (kLineStep + 6) * s, y_label, kBlack, s);
  draw_text(out, (f.x.from + f.x.to - text_width(x_label, s)) / 2, height - 16 * s, x_label, kBlack, s);
  draw_axes(out, f);
  for (size_t k = 0; k < series.size(); ++k) draw_series(out, series[k], f, k);
  legend.draw(out, width - margin - legend.width(), top);
  return out;
}

}  // namespace advf
