// Landmarks that other tools found: CSV.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "advface/core/face.h"

namespace advf {

struct LandmarkFile {
  std::map<std::string, std::vector<Face>> faces;  // by file, in the order of the lines; boxes are those of
                                                   // the face that the landmarks tell
  std::string fingerprint;
};

// The header is `file,x1,y1,x2,y2,...`: five points, or two (the eyes alone), in pixels of the upright
// picture: the eye further left first, nose, corner of the mouth further left, the other. A file stands on a
// line for each of its faces. Throws Error naming file and line for anything else, for points that coincide,
// and for eyes or corners of the mouth that are clearly exchanged.
LandmarkFile parse_landmarks(std::string_view text, const std::string& file);
LandmarkFile load_landmarks(const std::string& path);

}  // namespace advf
