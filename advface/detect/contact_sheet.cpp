#include "advface/detect/contact_sheet.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "tensor/check.h"
#include "tensor/io/draw.h"
#include "tensor/io/resample.h"

namespace advf {
namespace {

constexpr int kGap = 8, kLine = kLineStep;
constexpr Colour kBoxColour{255, 60, 60}, kEyeColour{60, 220, 255}, kMouthColour{255, 220, 60};

Image resized(const Image& image, int width, int height) {
  return to_image(crop_resize(image, whole(image), height, width));
}

std::string shortened(const std::string& text, size_t letters) {
  return text.size() <= letters ? text : ".." + text.substr(text.size() - (letters - 2));
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
  const int step_x = kCell + kGap, step_y = kCell + 2 * kLine + kGap;
  const size_t letters = size_t(kCell / kLetterStep);
  const std::string text = every_ > 1 ? title + "; one of every " + std::to_string(every_) + " of " +
                                            std::to_string(seen_) + " faces"
                                      : title + "; " + std::to_string(seen_) + " faces";
  const int width = std::max(columns * step_x + kGap, text_width(text, 2) + 2 * kGap);
  Image sheet(width, rows * step_y + 2 * kLine + 3 * kGap, 3, 255);
  draw_text(sheet, kGap, kGap, text, kBlack, 2);
  for (size_t i = 0; i < cells_.size(); ++i) {
    const int x = kGap + int(i) % columns * step_x, y = 2 * kGap + 2 * kLine + int(i) / columns * step_y;
    paste(sheet, x, y, cells_[i].crop);
    draw_text(sheet, x, y + kCell + 2, shortened(cells_[i].name, letters), kBlack);
    draw_text(sheet, x, y + kCell + 2 + kLine, cells_[i].note, kBlack);
  }
  return sheet;
}

Image draw_faces(const Image& picture, const std::vector<FoundFace>& faces, const std::vector<Image>& crops) {
  constexpr int kLeast = 640, kMost = 1280;
  const int longest = std::max(picture.width, picture.height);
  const double zoom = double(std::clamp(longest, kLeast, kMost)) / longest;
  const auto zoomed = [&](int size) { return std::max(1, int(std::lround(size * zoom))); };
  const Image shown = resized(picture, zoomed(picture.width), zoomed(picture.height));
  int row_width = kGap, row_height = 0;
  for (const Image& crop : crops) {
    row_width += crop.width + kGap;
    row_height = std::max(row_height, crop.height + kGap + 2 * kLine);
  }
  Image out(std::max(shown.width, row_width), shown.height + kGap + row_height, 3, 255);
  paste(out, 0, 0, shown);
  int x = kGap;
  for (size_t i = 0; i < faces.size(); ++i) {
    const Face& f = faces[i].face;
    draw_box(out, f.x * zoom, f.y * zoom, (f.x + f.width) * zoom, (f.y + f.height) * zoom, 2);
    for (size_t p = 0; p < f.landmarks.size(); ++p)
      draw_mark(out, f.landmarks[p].x * zoom, f.landmarks[p].y * zoom, 3, Mark::disc,
                p < 2 ? kEyeColour : kMouthColour);
    const std::string text = std::to_string(i + 1) + ": " + score_text(faces[i]);
    const int tx = std::clamp(int(f.x * zoom), 0, std::max(0, out.width - text_width(text, 2)));
    const int ty = std::max(0, int(f.y * zoom) - 2 * kLine);
    fill_rectangle(out, tx, ty, text_width(text, 2), 2 * kLine - 2, kBoxColour);
    draw_text(out, tx + 2, ty + 1, text, kWhite, 2);
  }
  for (size_t i = 0; i < crops.size(); ++i) {
    paste(out, x, shown.height + kGap, crops[i]);
    draw_text(out, x, shown.height + kGap + crops[i].height + 2, std::to_string(i + 1), kBlack, 2);
    x += crops[i].width + kGap;
  }
  return out;
}

}  // namespace advf
