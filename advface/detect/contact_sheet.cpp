#include "advface/detect/contact_sheet.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "tensor/check.h"
#include "tensor/io/caption.h"
#include "tensor/io/resample.h"

namespace advf {
namespace {

constexpr int kGap = 8;
// Sizes of letters: what stands below a cell, titles and numbers, and the least that a label is given.
constexpr double kNoteSize = 12, kTitleSize = 18, kLabelSize = 16, kLeastSize = 11;
constexpr Colour kBoxColour{255, 60, 60}, kEyeColour{60, 220, 255}, kMouthColour{255, 220, 60};

Image resized(const Image& image, int width, int height) {
  return to_image(crop_resize(image, whole(image), height, width));
}

std::string score_text(const FoundFace& face) {
  char text[64];
  std::snprintf(text, sizeof text, "%.2f %dpx", face.face.score, int(std::lround(face.quality.size)));
  return text;
}

void draw_box(Image& image, double x0, double y0, double x1, double y1, double width) {
  draw_stroke(image, x0, y0, x1, y0, width, kBoxColour);
  draw_stroke(image, x1, y0, x1, y1, width, kBoxColour);
  draw_stroke(image, x1, y1, x0, y1, width, kBoxColour);
  draw_stroke(image, x0, y1, x0, y0, width, kBoxColour);
}

}  // namespace

void ContactSheet::add(const float* crop, int size, const std::string& name, const FoundFace* face) {
  if (seen_++ % every_ != 0) return;
  if (cells_.size() == kCells) {
    for (size_t i = 1; 2 * i < cells_.size(); ++i) cells_[i] = std::move(cells_[2 * i]);
    cells_.resize((cells_.size() + 1) / 2);
    every_ *= 2;
    if ((seen_ - 1) % every_ != 0) return;
  }
  const Image picture = to_image(Tensor::from(
      std::vector<float>(crop, crop + size_t(3) * size_t(size) * size_t(size)), {3, size, size}));
  cells_.push_back({resized(picture, kCell, kCell), name, face ? score_text(*face) : ""});
}

Image ContactSheet::draw(const std::string& title) const {
  check(!cells_.empty(), "no face was cut out, so that there is nothing to show");
  const int columns = std::min<int>(12, int(cells_.size()));
  const int rows = (int(cells_.size()) + columns - 1) / columns;
  const int line = caption_height(kNoteSize);
  const int step_x = kCell + kGap, step_y = kCell + 2 * line + kGap;
  const std::string text = every_ > 1 ? title + "; one of every " + std::to_string(every_) + " of " +
                                            std::to_string(seen_) + " faces"
                                      : title + "; " + std::to_string(seen_) + " faces";
  constexpr int kTitleWidth = 480;  // has a title for its lines, however few faces there are
  const std::vector<std::string> lines =
      wrapped(text, std::max(columns * step_x - kGap, kTitleWidth), caption_letters(kTitleSize), 3);
  int width = columns * step_x + kGap, top = kGap;
  for (const std::string& one : lines) width = std::max(width, caption_width(one, kTitleSize) + 2 * kGap);
  Image sheet(width, rows * step_y + int(lines.size()) * caption_height(kTitleSize) + 2 * kGap, 3, 255);
  for (const std::string& one : lines) {
    draw_text(sheet, kGap, top, one, kBlack, kTitleSize);
    top += caption_height(kTitleSize);
  }
  top += kGap;
  for (size_t i = 0; i < cells_.size(); ++i) {
    const int x = kGap + int(i) % columns * step_x, y = top + int(i) / columns * step_y;
    paste(sheet, x, y, cells_[i].crop);
    const std::string name = shortened(cells_[i].name, kCell, caption_letters(kNoteSize), Keep::end);
    draw_text(sheet, x, y + kCell, name, kBlack, kNoteSize);
    draw_text(sheet, x, y + kCell + line, cells_[i].note, kBlack, kNoteSize);
  }
  return sheet;
}

namespace {

struct Box {
  int x, y, width, height;
  bool meets(const Box& o) const {
    return x < o.x + o.width && o.x < x + width && y < o.y + o.height && o.y < y + height;
  }
};

// Labels of faces, each above its face's box where there is room, else below it, else as near as no other
// label stands.
class FaceLabels {
 public:
  FaceLabels(Image& image, int width, int height) : image_(image), width_(width), height_(height) {}
  void add(const std::string& text, int x, int top, int bottom, double box_width) {
    const double size = fitting_size(text, box_width, kLeastSize, kLabelSize);
    Box at{x, top, caption_width(text, size) + 4, caption_height(size)};
    at.x = std::clamp(x, 0, std::max(0, width_ - at.width));
    const int lowest = std::max(0, height_ - at.height);
    std::vector<int> places{top - at.height, bottom, top};
    for (int away = at.height; away < height_; away += at.height)
      places.insert(places.end(), {top - at.height - away, bottom + away});
    const auto fits = [&](int y) {
      at.y = y;
      return y >= 0 && y <= lowest &&
             std::none_of(taken_.begin(), taken_.end(), [&](const Box& o) { return at.meets(o); });
    };
    if (std::none_of(places.begin(), places.end(), fits)) at.y = std::clamp(top, 0, lowest);
    taken_.push_back(at);
    fill_rectangle(image_, at.x, at.y, at.width, at.height, kBoxColour);
    draw_text(image_, at.x + 2, at.y, text, kBlack, size);
  }

 private:
  Image& image_;
  int width_, height_;  // of the part that labels stand in
  std::vector<Box> taken_;
};

}  // namespace

Image draw_faces(const Image& picture, const std::vector<FoundFace>& faces, const std::vector<Image>& crops) {
  constexpr int kLeast = 640, kMost = 1280;
  const int longest = std::max(picture.width, picture.height);
  const double zoom = double(std::clamp(longest, kLeast, kMost)) / longest;
  const auto zoomed = [&](int size) { return std::max(1, int(std::lround(size * zoom))); };
  const Image shown = resized(picture, zoomed(picture.width), zoomed(picture.height));
  int row_width = kGap, row_height = 0;
  for (const Image& crop : crops) {
    row_width += crop.width + kGap;
    row_height = std::max(row_height, crop.height + kGap + caption_height(kLabelSize));
  }
  Image out(std::max(shown.width, row_width), shown.height + kGap + row_height, 3, 255);
  paste(out, 0, 0, shown);
  for (size_t i = 0; i < faces.size(); ++i) {
    const Face& f = faces[i].face;
    draw_box(out, f.x * zoom, f.y * zoom, (f.x + f.width) * zoom, (f.y + f.height) * zoom, 2);
    for (size_t p = 0; p < f.landmarks.size(); ++p)
      draw_mark(out, f.landmarks[p].x * zoom, f.landmarks[p].y * zoom, 3, Mark::disc,
                p < 2 ? kEyeColour : kMouthColour);
  }
  FaceLabels labels(out, out.width, shown.height);
  for (size_t i = 0; i < faces.size(); ++i) {
    const Face& f = faces[i].face;
    labels.add(std::to_string(i + 1) + ": " + score_text(faces[i]), int(f.x * zoom), int(f.y * zoom),
               int((f.y + f.height) * zoom), f.width * zoom);
  }
  int x = kGap;
  for (size_t i = 0; i < crops.size(); ++i) {
    paste(out, x, shown.height + kGap, crops[i]);
    draw_text(out, x, shown.height + kGap + crops[i].height, std::to_string(i + 1), kBlack, kLabelSize);
    x += crops[i].width + kGap;
  }
  return out;
}

}  // namespace advf
