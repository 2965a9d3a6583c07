// Faces that a detector found, kept on disk between programs: whoever computes the features of the same
// pictures with a second recogniser need not look for the faces again.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "advface/core/face.h"

namespace advf {

// One file for each detector and way of looking. Not for several threads at once.
class FoundFaces {
 public:
  // The file in this folder, which is made where it is absent; key: FaceFinder::key(). Throws Error for a
  // folder or a file that cannot be made, and for a file that is none of this kind, with what to do. Damaged
  // lines are as if they were not there.
  FoundFaces(const std::string& folder, const std::string& key);

  // Of a picture's file as it is now: by its path, size and time. Empty where it was not looked at.
  std::optional<std::vector<Face>> get(const std::string& path) const;
  void put(const std::string& path, const std::vector<Face>& faces);
  // Where something was put. What other programs have written meanwhile stays.
  void save();
  const std::string& file() const { return file_; }
  // "cache/faces-...: 2 damaged lines; ..." of what was read, once; "" where nothing is damaged.
  std::string take_damage();

 private:
  using Lines = std::map<std::string, std::vector<Face>>;  // by "path size time"
  Lines read();

  std::string file_, header_;
  Lines lines_, fresh_;
  int64_t damaged_ = 0;
};

}  // namespace advf
