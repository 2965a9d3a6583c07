#include "advface/detect/landmark_file.h"

#include <charconv>
#include <cmath>

#include "advface/core/text_file.h"
#include "advface/detect/alignment.h"
#include "tensor/check.h"
#include "tensor/hash.h"

namespace advf {
namespace {

double coordinate(const std::string& text, const std::string& where) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  constexpr double kMost = 1e6;
  check(error == std::errc() && end == text.data() + text.size() && std::abs(value) <= kMost, where, ": \"",
        text, "\" is no coordinate in pixels");
  return value;
}

// The square that the template of ArcFace gives such a face stands for its box.
void give_box(Face& face, const std::string& where) {
  try {
    const Similarity s = align(face, {}, 1);
    const double side = s.scale();
    face.x = s.x(0.5, 0.5) - side / 2;
    face.y = s.y(0.5, 0.5) - side / 2;
    face.width = face.height = side;
  } catch (const Error& e) {
    fail(where, ": ", e.what());
  }
  face.score = 1;
}

}  // namespace

LandmarkFile parse_landmarks(std::string_view text, const std::string& file) {
  const Table table = parse_table(text, file);
  const size_t points = table.columns.size() / 2;
  check((points == 2 || points == 5) && table.columns.size() == 2 * points + 1 && table.columns[0] == "file",
        file, ": the first line must be file,x1,y1,...,x5,y5 (or file,x1,y1,x2,y2, the eyes alone)");
  for (size_t i = 0; i < points; ++i) {
    const std::string number = std::to_string(i + 1);
    check(table.columns[2 * i + 1] == "x" + number && table.columns[2 * i + 2] == "y" + number, file,
          ": the first line must be file,x1,y1,...,x5,y5, but a column is called \"",
          table.columns[2 * i + 1], "\"");
  }
  LandmarkFile out;
  out.fingerprint = hex(fnv1a(text));
  int64_t number = 1;
  for (const auto& row : table.rows) {
    const std::string where = file + ": face " + std::to_string(number++) + ", of " + row[0];
    check(is_safe_relative_path(row[0]), where, ": no relative path");
    Face face;
    for (size_t i = 0; i < points; ++i)
      face.landmarks.push_back({coordinate(row[2 * i + 1], where), coordinate(row[2 * i + 2], where)});
    check(face.landmarks[0].x != face.landmarks[1].x || face.landmarks[0].y != face.landmarks[1].y, where,
          ": both eyes at one place");
    give_box(face, where);
    out.faces[row[0]].push_back(std::move(face));
  }
  check(!out.faces.empty(), file, ": names no faces");
  return out;
}

LandmarkFile load_landmarks(const std::string& path) { return parse_landmarks(read_text(path), path); }

}  // namespace advf
