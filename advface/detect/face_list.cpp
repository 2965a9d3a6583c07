#include "advface/detect/face_list.h"

#include <algorithm>
#include <sstream>

#include "tensor/io/atomic_file.h"

namespace advf {

std::string face_list_header() {
  std::string text =
      "file\tface\tfaces\tx\ty\twidth\theight\tscore\tsize\troll\tyaw\tpitch\tsharpness\texposure\toutside";
  for (int i = 1; i <= 5; ++i) text += "\tx" + std::to_string(i) + "\ty" + std::to_string(i);
  return text + "\n";
}

std::string face_list_line(const std::string& file, const FoundFace& found) {
  std::ostringstream text;
  text.setf(std::ios::fixed);
  const Face& f = found.face;
  const FaceQuality& q = found.quality;
  text.precision(2);
  text << file << '\t' << found.number << '\t' << found.of << '\t' << f.x << '\t' << f.y << '\t' << f.width
       << '\t' << f.height << '\t';
  text.precision(4);
  text << f.score << '\t';
  text.precision(2);
  text << q.size << '\t' << q.roll << '\t' << q.yaw << '\t' << q.pitch << '\t' << q.sharpness << '\t';
  text.precision(4);
  text << q.exposure << '\t' << q.outside;
  text.precision(2);
  for (size_t i = 0; i < 5; ++i) {
    if (i < f.landmarks.size())
      text << '\t' << f.landmarks[i].x << '\t' << f.landmarks[i].y;
    else
      text << "\t\t";
  }
  text << '\n';
  return text.str();
}

std::string left_out_header() { return "file\treason\texplanation\n"; }

std::string left_out_line(const std::string& file, const BrokenFace& face) {
  std::string why = face.why;
  std::replace_if(
      why.begin(), why.end(), [](char c) { return c == '\t' || c == '\n' || c == '\r'; }, ' ');
  return file + '\t' + name_of(face.reason) + '\t' + why + '\n';
}

void write_left_out(const std::string& path, const FaceSource& faces) {
  AtomicFile file(path);
  file.write(left_out_header());
  for (const auto& [index, face] : faces.left_out()) file.write(left_out_line(faces.name(index), face));
  file.commit();
}

std::map<std::string, int64_t> count_by_reason(const FaceSource& faces) {
  std::map<std::string, int64_t> counts;
  for (const auto& [unused, face] : faces.left_out()) ++counts[name_of(face.reason)];
  return counts;
}

std::string left_out_summary(const FaceSource& faces) {
  std::map<std::string, int64_t> counts;
  int64_t all = 0;
  for (const auto& [unused, face] : faces.left_out())
    if (!face.is_broken()) {
      ++counts[name_of(face.reason)];
      ++all;
    }
  if (all == 0) return "";
  std::string text = std::to_string(all) + " of " + std::to_string(faces.size()) + " pictures are left out: ";
  const char* between = "";
  for (const auto& [reason, count] : counts) {
    text += between + std::to_string(count) + " " + reason;
    between = ", ";
  }
  return text;
}

}  // namespace advf
