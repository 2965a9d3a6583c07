#include "advface/detect/landmark_file.h"

#include <charconv>
#include <cmath>
#include <tuple>

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

// The eye further left in an upright face comes first, and so does that corner of the mouth. Turning a face
// changes the order of neither; but the eyes alone do not tell one that stands on its head. A face that looks
// far aside may have both at one place, or a little beyond.
void check_order(const std::vector<Point>& p, const std::string& where) {
  constexpr double kClearly = 0.5, kWidely = 0.25;  // the latter: of the way from the eyes to the mouth
  const double ex = p[1].x - p[0].x, ey = p[1].y - p[0].y, eyes = std::hypot(ex, ey);
  if (p.size() == 2) {
    check(ex > -kClearly * eyes, where,
          ": the eyes are exchanged: the one further left in the picture comes first (of a face that stands "
          "on its head, give all five points)");
    return;
  }
  // From the middle of the eyes to that of the mouth.
  const double dx = (p[3].x + p[4].x - p[0].x - p[1].x) / 2, dy = (p[3].y + p[4].y - p[0].y - p[1].y) / 2;
  const auto exchanged = [&](double x, double y) { return x * dy - y * dx < -kWidely * (dx * dx + dy * dy); };
  for (const auto& [x, y, what] :
       {std::tuple(ex, ey, "eyes"), std::tuple(p[4].x - p[3].x, p[4].y - p[3].y, "corners of the mouth")})
    check(!exchanged(x, y), where, ": the ", what,
          " are exchanged: the one further left in an upright face comes first");
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
    check_order(face.landmarks, where);
    give_box(face, where);
    out.faces[row[0]].push_back(std::move(face));
  }
  check(!out.faces.empty(), file, ": names no faces");
  return out;
}

LandmarkFile load_landmarks(const std::string& path) { return parse_landmarks(read_text(path), path); }

}  // namespace advf
