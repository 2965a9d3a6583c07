#include "tensor/io/grid.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>

#include "tensor/io/draw.h"
#include "tensor/io/resample.h"

namespace advf {
namespace {

constexpr int kGap = 4;     // pixels between cells
constexpr int kMargin = 8;  // around everything
constexpr int kTitleScale = 2;
constexpr int kMaxSide = 30000;

// Breaks at blanks into lines of at most `width` letters; a longer word is cut.
std::vector<std::string> wrap(const std::string& text, size_t width) {
  std::vector<std::string> lines;
  size_t at = 0;
  while (at < text.size()) {
    size_t end = std::min(at + width, text.size());
    if (end < text.size() && text[end] != ' ') {
      const size_t blank = text.rfind(' ', end);
      if (blank != std::string::npos && blank > at) end = blank;
    }
    lines.push_back(text.substr(at, end - at));
    at = end;
    while (at < text.size() && text[at] == ' ') ++at;
  }
  return lines;
}

Image magnify(const Image& image, int zoom) {
  Image out(image.width * zoom, image.height * zoom, 3);
  for (int y = 0; y < out.height; ++y)
    for (int x = 0; x < out.width; ++x)
      std::copy_n(image.row(y / zoom) + 3 * size_t(x / zoom), 3, out.row(y) + 3 * size_t(x));
  return out;
}

// The size that all cells share.
Shape cell_shape(const std::vector<std::vector<Tensor>>& rows) {
  Shape shape;
  for (const auto& row : rows)
    for (const Tensor& cell : row) {
      if (!cell.defined()) continue;
      check(cell.shape().rank() == 3 && cell.dim(0) == 3, "a grid's cell has the shape ", cell.shape(),
            "; [3,H,W] is needed");
      check(shape.rank() == 0 || shape == cell.shape(), "a grid's cells have the shapes ", shape, " and ",
            cell.shape());
      shape = cell.shape();
    }
  check(shape.rank() == 3, "a grid needs at least one picture");
  return shape;
}

}  // namespace

Image make_grid(const std::vector<std::vector<Tensor>>& rows, const GridLabels& labels, int zoom) {
  check(zoom >= 1 && zoom <= 64, "a grid magnified ", zoom, " times; 1 to 64 are possible");
  const Shape shape = cell_shape(rows);
  size_t columns = 0;
  for (const auto& row : rows) columns = std::max(columns, row.size());
  check(labels.rows.empty() || labels.rows.size() == rows.size(), "a grid of ", rows.size(), " rows with ",
        labels.rows.size(), " row labels");
  check(labels.columns.empty() || labels.columns.size() == columns, "a grid of ", columns, " columns with ",
        labels.columns.size(), " column labels");

  const int64_t cell_width = shape[2] * zoom, cell_height = shape[1] * zoom;
  int left = kMargin, top = kMargin;
  for (const std::string& label : labels.rows) left = std::max(left, kMargin + text_width(label) + kGap);
  if (!labels.title.empty()) top += kLineStep * kTitleScale + kGap;
  std::vector<std::vector<std::string>> headings;
  size_t lines = 0;
  for (const std::string& label : labels.columns) {
    headings.push_back(wrap(label, size_t(std::max<int64_t>((cell_width + kGap) / kLetterStep, 1))));
    lines = std::max(lines, headings.back().size());
  }
  const int heading_top = top;
  top += int(lines) * kLineStep + (lines ? kGap : 0);
  const int64_t title_width = 2 * kMargin + text_width(labels.title, kTitleScale);
  const int64_t width = std::max(left + int64_t(columns) * (cell_width + kGap) - kGap + kMargin, title_width);
  const int64_t height = top + int64_t(rows.size()) * (cell_height + kGap) - kGap + kMargin;
  check(width <= kMaxSide && height <= kMaxSide, "a grid of ", width, " x ", height, " pixels is too large");

  Image out(int(width), int(height), 3, 255);
  draw_text(out, kMargin, kMargin, labels.title, kBlack, kTitleScale);
  const auto cell_x = [&](size_t c) { return left + int(c) * int(cell_width + kGap); };
  for (size_t c = 0; c < headings.size(); ++c)
    for (size_t l = 0; l < headings[c].size(); ++l)  // the last line stands right above the pictures
      draw_text(out, cell_x(c), heading_top + int(lines - headings[c].size() + l) * kLineStep, headings[c][l],
                kBlack);
  for (size_t r = 0; r < rows.size(); ++r) {
    const int y = top + int(r) * int(cell_height + kGap);
    if (!labels.rows.empty())
      draw_text(out, kMargin, y + int(cell_height - kGlyphHeight) / 2, labels.rows[r], kBlack);
    for (size_t c = 0; c < rows[r].size(); ++c)
      if (rows[r][c].defined()) paste(out, cell_x(c), y, magnify(to_image(rows[r][c]), zoom));
  }
  return out;
}

namespace {

constexpr Colour kSeriesColours[] = {{31, 119, 180}, {214, 39, 40},  {44, 140, 44}, {148, 103, 189},
                                     {230, 120, 10}, {23, 170, 190}, {120, 75, 60}, {110, 110, 110}};

// One axis: the range in numbers and in pixels, and the distance of its round numbers.
struct Axis {
  double low = 0, high = 1, step = 0.2;
  int from = 0, to = 0;  // pixels of low and high
  int pixel(double v) const { return from + int(std::lround((v - low) / (high - low) * (to - from))); }
};

// A range that holds all values, its ends multiples of a step of 1, 2 or 5 times a power of ten, about five
// steps.
Axis axis_for(const std::vector<double>& values, int from, int to) {
  Axis axis;
  axis.from = from;
  axis.to = to;
  if (values.empty()) return axis;
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  double low = *least, high = *most;
  // A range too narrow to be told apart in a double is widened.
  if (high - low <= std::max(std::abs(low), std::abs(high)) * 1e-9) {
    const double pad = std::abs(low) > 1e-200 ? std::abs(low) * 0.1 : 1;
    low -= pad;
    high += pad;
  }
  const double rough = high / 5 - low / 5, power = std::pow(10, std::floor(std::log10(rough)));
  const double factor = rough / power;
  axis.step = (factor < 1.5 ? 1 : factor < 3.5 ? 2 : factor < 7.5 ? 5 : 10) * power;
  axis.low = std::floor(low / axis.step + 1e-9) * axis.step;
  axis.high = std::ceil(high / axis.step - 1e-9) * axis.step;
  return axis;
}

std::string number(double v, double step) {
  char text[32];
  std::snprintf(text, sizeof text, "%.5g", std::abs(v) < step * 1e-6 ? 0.0 : v);
  return text;
}

// Neither NaN nor so large that differences overflow.
bool drawable(const Series& s, size_t i) { return std::abs(s.xs[i]) < 1e300 && std::abs(s.ys[i]) < 1e300; }

void draw_series(Image& out, const Series& s, const Axis& x, const Axis& y, Colour colour) {
  int last_x = 0, last_y = 0;
  bool connected = false;
  for (size_t i = 0; i < s.xs.size(); ++i) {
    const bool drawn = drawable(s, i);
    if (drawn) {
      const int px = x.pixel(s.xs[i]), py = y.pixel(s.ys[i]);
      fill_rectangle(out, px - 1, py - 1, 3, 3, colour);
      for (int thick = 0; connected && thick < 2; ++thick)
        draw_line(out, last_x, last_y + thick, px, py + thick, colour);
      last_x = px;
      last_y = py;
    }
    connected = drawn;
  }
}

void draw_axes(Image& out, const Axis& x, const Axis& y) {
  const auto ticks = [](const Axis& a) { return int(std::lround((a.high - a.low) / a.step)); };
  for (int i = 0, n = ticks(x); i <= n; ++i) {
    const double v = x.low + i * x.step;
    const std::string text = number(v, x.step);
    draw_line(out, x.pixel(v), y.from, x.pixel(v), y.to, kGrey);
    draw_text(out, x.pixel(v) - text_width(text) / 2, y.from + 6, text, kBlack);
  }
  for (int i = 0, n = ticks(y); i <= n; ++i) {
    const double v = y.low + i * y.step;
    const std::string text = number(v, y.step);
    draw_line(out, x.from, y.pixel(v), x.to, y.pixel(v), kGrey);
    draw_text(out, x.from - 6 - text_width(text), y.pixel(v) - kGlyphHeight / 2, text, kBlack);
  }
  draw_line(out, x.from, y.from, x.to, y.from, kBlack);
  draw_line(out, x.from, y.from, x.from, y.to, kBlack);
}

}  // namespace

Image line_plot(const std::string& title, const std::vector<Series>& series, const std::string& x_label,
                const std::string& y_label) {
  constexpr int kWidth = 720, kHeight = 440, kLeft = 70, kBottom = 48, kTop = 56;
  std::vector<double> xs, ys;
  size_t longest = 0;
  for (const Series& s : series) {
    check(s.xs.size() == s.ys.size(), "the curve \"", s.name, "\" has ", s.xs.size(), " x and ", s.ys.size(),
          " y");
    for (size_t i = 0; i < s.xs.size(); ++i)
      if (drawable(s, i)) {
        xs.push_back(s.xs[i]);
        ys.push_back(s.ys[i]);
      }
    longest = std::max(longest, s.name.size());
  }
  // The legend stands to the right of the curves and takes at most a third of the picture.
  const int legend = std::min(int(longest) * kLetterStep + 34, kWidth / 3);
  Image out(kWidth, kHeight, 3, 255);
  const Axis x = axis_for(xs, kLeft, kWidth - legend - 20), y = axis_for(ys, kHeight - kBottom, kTop);
  draw_text(out, kMargin, kMargin, title, kBlack, kTitleScale);
  draw_text(out, kMargin, kTop - 20, y_label, kBlack);
  draw_text(out, (x.from + x.to - text_width(x_label)) / 2, kHeight - 20, x_label, kBlack);
  draw_axes(out, x, y);
  for (size_t k = 0; k < series.size(); ++k) {
    const Colour colour = kSeriesColours[k % std::size(kSeriesColours)];
    draw_series(out, series[k], x, y, colour);
    const int at = kTop + int(k) * (kLineStep + 4), start = kWidth - legend;
    fill_rectangle(out, start, at + 2, 16, 3, colour);
    draw_text(out, start + 22, at, series[k].name, kBlack);
  }
  return out;
}

}  // namespace advf
