#include "tensor/io/grid.h"

#include <algorithm>

#include "tensor/io/caption.h"
#include "tensor/io/resample.h"

namespace advf {
namespace {

constexpr int kGap = 4;     // pixels between cells
constexpr int kMargin = 8;  // around everything
constexpr int kMaxSide = 30000;
// Sizes of letters, and the least width that a title has for its lines.
constexpr double kTitleSize = 18, kLeastSize = 11, kMostSize = 18;
constexpr int kTitleWidth = 480;
constexpr size_t kTitleLines = 4;

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

// Labels of rows or columns: one size of letters for all, and the lines of each.
struct Captions {
  double size = 0;
  std::vector<std::vector<std::string>> lines = {};
  int width = 0;    // of the widest line
  size_t most = 0;  // lines of any label
  int height() const { return int(most) * caption_height(size); }
};

// The size fits to a cell of `cell` pixels, and is smaller where that keeps a word whole; `height` is the
// room of a label's lines.
Captions captions_for(const std::vector<std::string>& labels, int64_t cell, int64_t width, int64_t height) {
  constexpr double kLettersOfCell = 9;
  Captions out{.size = std::clamp(double(cell) / kLettersOfCell, kLeastSize, kMostSize)};
  for (const std::string& label : labels)
    for (size_t at = 0, end = 0; at < label.size(); at = end + 1) {
      end = std::min(label.find(' ', at), label.size());
      out.size = fitting_size(label.substr(at, end - at), double(width), kLeastSize, out.size);
    }
  const size_t most_lines = size_t(std::max<int64_t>(height / caption_height(out.size), 1));
  for (const std::string& label : labels) {
    out.lines.push_back(wrapped(label, double(width), caption_letters(out.size), most_lines));
    out.most = std::max(out.most, out.lines.back().size());
    for (const std::string& line : out.lines.back())
      out.width = std::max(out.width, caption_width(line, out.size));
  }
  return out;
}

void draw_lines(Image& out, int x, int y, const std::vector<std::string>& lines, double size) {
  for (const std::string& line : lines) {
    draw_text(out, x, y, line, kBlack, size);
    y += caption_height(size);
  }
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
  constexpr int64_t kRowLabel = 160, kHeading = 120;  // pixels that a row's label is wide, a column's high
  constexpr int64_t kLeastColumn = 48;                // of a column that has a label
  const int64_t step_x = std::max(cell_width, labels.columns.empty() ? 0 : kLeastColumn) + kGap;
  const Captions beside = captions_for(labels.rows, cell_height, kRowLabel, cell_height);
  const Captions above = captions_for(labels.columns, step_x - kGap, step_x - 2 * kGap, kHeading);
  const int64_t step_y = std::max(cell_height + kGap, int64_t(beside.height()));
  const int left = kMargin + (beside.width > 0 ? beside.width + 2 * kGap : 0);
  int64_t width = left + int64_t(columns) * step_x - kGap + kMargin;
  const double title_room = double(std::max<int64_t>(width - 2 * kMargin, kTitleWidth));
  const std::vector<std::string> title =
      wrapped(labels.title, title_room, caption_letters(kTitleSize), kTitleLines);
  for (const std::string& line : title)
    width = std::max<int64_t>(width, 2 * kMargin + caption_width(line, kTitleSize));
  const int heading_top =
      kMargin + (title.empty() ? 0 : int(title.size()) * caption_height(kTitleSize) + kGap);
  const int top = heading_top + (above.most ? above.height() + kGap : 0);
  const int64_t height = top + int64_t(rows.size()) * step_y - kGap + kMargin;
  check(width <= kMaxSide && height <= kMaxSide, "a grid of ", width, " x ", height, " pixels is too large");

  Image out(int(width), int(height), 3, 255);
  draw_lines(out, kMargin, kMargin, title, kTitleSize);
  for (size_t c = 0; c < above.lines.size(); ++c) {  // the last line stands right above the pictures
    const int unused = int(above.most - above.lines[c].size()) * caption_height(above.size);
    draw_lines(out, left + int(int64_t(c) * step_x), heading_top + unused, above.lines[c], above.size);
  }
  for (size_t r = 0; r < rows.size(); ++r) {
    const int y = top + int(int64_t(r) * step_y);
    if (!labels.rows.empty()) {
      const int taken = int(beside.lines[r].size()) * caption_height(beside.size);
      draw_lines(out, kMargin, y + std::max(0, (int(cell_height) - taken) / 2), beside.lines[r], beside.size);
    }
    for (size_t c = 0; c < rows[r].size(); ++c)
      if (rows[r][c].defined())
        paste(out, left + int(int64_t(c) * step_x), y, magnify(to_image(rows[r][c]), zoom));
  }
  return out;
}

}  // namespace advf
