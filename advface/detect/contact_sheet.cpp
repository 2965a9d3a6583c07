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
// Sizes of letters: what stands below a cell, titles, and the numbers of faces.
constexpr double kNoteSize = 12, kTitleSize = 18, kLabelSize = 16;
constexpr Colour kBoxColour{255, 60, 60}, kEyeColour{60, 220, 255}, kMouthColour{255, 220, 60};

Image resized(const Image& image, int width, int height) {
  return to_image(crop_resize(image, whole(image), height, width));
}

std::string score_text(const FoundFace& face) {
  char text[64];
  std::snprintf(text, sizeof text, "%.2f %dpx", face.face.score, int(std::lround(face.quality.size)));
  return text;
}

std::string caption_of(const FoundFace& face) {
  return std::to_string(face.number) + ": " + score_text(face);
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
  // Pixels that both cover.
  int64_t shared(const Box& o) const {
    const int w = std::min(x + width, o.x + o.width) - std::max(x, o.x),
              h = std::min(y + height, o.y + o.height) - std::max(y, o.y);
    return w > 0 && h > 0 ? int64_t(w) * h : 0;
  }
};

// Beside its face's box, where it covers least of other labels, and then of faces.
Box place_label(const Box& face, const std::string& text, const Image& shown, const std::vector<Box>& labels,
                const std::vector<Box>& faces) {
  const int w = caption_width(text, kLabelSize) + 4, h = caption_height(kLabelSize);
  const int right = face.x + face.width, below = face.y + face.height;
  Box best{};
  double least = 0;
  for (const auto& [x, y] : {std::pair(face.x, face.y - h),
                             {right - w, face.y - h},
                             {face.x, below},
                             {right - w, below},
                             {right, face.y},
                             {face.x - w, face.y},
                             {right, below - h},
                             {face.x - w, below - h},
                             {face.x, face.y}}) {
    const Box here{std::clamp(x, 0, std::max(0, shown.width - w)),
                   std::clamp(y, 0, std::max(0, shown.height - h)), w, h};
    constexpr double kOfLabels = 100;
    double covered = 0;
    for (const Box& label : labels) covered += kOfLabels * double(here.shared(label));
    for (const Box& other : faces) covered += double(here.shared(other));
    if (best.width > 0 && covered >= least) continue;
    best = here;
    least = covered;
  }
  return best;
}

// The crops in rows of at most this width, each with its number, score and size.
Image draw_crops(const std::vector<FoundFace>& faces, const std::vector<Image>& crops, int width) {
  int cell_width = 0, cell_height = 0;
  for (size_t i = 0; i < crops.size(); ++i) {
    cell_width = std::max({cell_width, crops[i].width, caption_width(caption_of(faces[i]), kNoteSize)});
    cell_height = std::max(cell_height, crops[i].height + caption_height(kNoteSize));
  }
  const int columns = std::clamp((width - kGap) / (cell_width + kGap), 1, std::max(1, int(crops.size())));
  const int rows = (int(crops.size()) + columns - 1) / columns;
  Image out(std::max(width, cell_width + 2 * kGap), kGap + rows * (cell_height + kGap), 3, 255);
  for (size_t i = 0; i < crops.size(); ++i) {
    const int x = kGap + int(i) % columns * (cell_width + kGap),
              y = kGap + int(i) / columns * (cell_height + kGap);
    paste(out, x, y, crops[i]);
    draw_text(out, x, y + crops[i].height, caption_of(faces[i]), kBlack, kNoteSize);
  }
  return out;
}

}  // namespace

Image draw_faces(const Image& picture, const std::vector<FoundFace>& faces, const std::vector<Image>& crops) {
  constexpr int kLeast = 640, kMost = 1280;
  const int longest = std::max(picture.width, picture.height);
  const double zoom = double(std::clamp(longest, kLeast, kMost)) / longest;
  const auto zoomed = [&](double size) { return int(std::lround(size * zoom)); };
  Image shown = resized(picture, std::max(1, zoomed(picture.width)), std::max(1, zoomed(picture.height)));
  std::vector<Box> boxes, labels;
  for (const FoundFace& found : faces) {
    const Face& f = found.face;
    boxes.push_back({zoomed(f.x), zoomed(f.y), zoomed(f.width), zoomed(f.height)});
    draw_box(shown, f.x * zoom, f.y * zoom, (f.x + f.width) * zoom, (f.y + f.height) * zoom, 2);
    for (size_t p = 0; p < f.landmarks.size(); ++p)
      draw_mark(shown, f.landmarks[p].x * zoom, f.landmarks[p].y * zoom, 3, Mark::disc,
                p < 2 ? kEyeColour : kMouthColour);
  }
  for (size_t i = 0; i < faces.size(); ++i) {  // above all boxes
    const std::string text = std::to_string(faces[i].number);
    const Box at = labels.emplace_back(place_label(boxes[i], text, shown, labels, boxes));
    fill_rectangle(shown, at.x, at.y, at.width, at.height, kBoxColour);
    draw_text(shown, at.x + 2, at.y, text, kBlack, kLabelSize);
  }
  if (crops.empty()) return shown;
  const Image below = draw_crops(faces, crops, shown.width);
  Image out(std::max(shown.width, below.width), shown.height + below.height, 3, 255);
  paste(out, 0, 0, shown);
  paste(out, 0, shown.height, below);
  return out;
}

}  // namespace advf
