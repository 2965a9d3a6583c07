#include "tensor/io/grid.h"

#include <algorithm>

#include "tensor/io/draw.h"
#include "tensor/io/resample.h"

namespace advf {
namespace {

constexpr int kGap = 4;     // pixels between cells
constexpr int kMargin = 8;  // around everything
constexpr int kTitleScale = 2;
constexpr int kMaxSide = 30000;

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
    headings.push_back(wrap_text(label, size_t(std::max<int64_t>((cell_width + kGap) / kLetterStep, 1))));
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

}  // namespace advf
