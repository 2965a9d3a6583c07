#include "advface/detect/face_list.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <utility>

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

namespace {

constexpr const char* kLeftOutHeader = "file\treason\texplanation\n";

std::string left_out_line(const std::string& file, Reason reason, std::string why) {
  std::replace_if(
      why.begin(), why.end(), [](char c) { return c == '\t' || c == '\n' || c == '\r'; }, ' ');
  return file + '\t' + name_of(reason) + '\t' + why + '\n';
}

// "10 no face, 2 small".
std::string counted(const std::map<std::string, int64_t>& counts) {
  std::string text;
  for (const auto& [reason, count] : counts)
    text += (text.empty() ? "" : ", ") + std::to_string(count) + " " + reason;
  return text;
}

}  // namespace

std::string left_out_header() { return kLeftOutHeader; }

std::string left_out_list(const FaceSource& faces) {
  std::map<FaceSource::FaceOfPicture, std::string> lines;  // 0: the picture itself
  for (const auto& [index, face] : faces.left_out())
    lines[{index, 0}] = left_out_line(faces.name(index), face.reason, face.why);
  for (const auto& [which, face] : faces.refused_faces())
    lines[which] =
        left_out_line(faces.name(which.first) + "#" + std::to_string(face.number), face.reason, face.why);
  std::string text = kLeftOutHeader;
  for (const auto& [unused, line] : lines) text += line;
  return text;
}

void write_left_out(const std::string& path, const FaceSource& faces) {
  AtomicFile file(path);
  file.write(left_out_list(faces));
  file.commit();
}

std::string face_list_path(const std::string& out) { return out + ".tsv"; }
std::string left_out_path(const std::string& out) { return out + ".rejected.tsv"; }

void remove_face_lists(const std::string& out) {
  for (const auto& [path, header] : {std::pair(face_list_path(out), face_list_header()),
                                     std::pair(left_out_path(out), left_out_header())}) {
    std::ifstream file(path);
    std::string first;
    if (std::getline(file, first) && first + "\n" == header) std::remove(path.c_str());
  }
}

std::map<std::string, int64_t> count_by_reason(const FaceSource& faces) {
  std::map<std::string, int64_t> counts;
  for (const auto& [unused, face] : faces.left_out()) ++counts[name_of(face.reason)];
  return counts;
}

std::map<std::string, int64_t> count_faces_by_reason(const FaceSource& faces) {
  std::map<std::string, int64_t> counts;
  for (const auto& [unused, face] : faces.refused_faces()) ++counts[name_of(face.reason)];
  return counts;
}

std::string left_out_summary(const FaceSource& faces) {
  std::map<std::string, int64_t> counts;
  int64_t pictures = 0;
  for (const auto& [unused, face] : faces.left_out())
    if (!face.is_broken()) {
      ++counts[name_of(face.reason)];
      ++pictures;
    }
  std::string text;
  if (pictures > 0)
    text = std::to_string(pictures) + " of " + std::to_string(faces.size()) +
           " pictures are left out: " + counted(counts);
  if (const size_t others = faces.refused_faces().size(); others > 0)
    text += (text.empty() ? "left out of pictures with others: " : "; of the others ") +
            std::to_string(others) + (others == 1 ? " face: " : " faces: ") +
            counted(count_faces_by_reason(faces));
  return text;
}

}  // namespace advf
