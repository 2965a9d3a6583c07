// What a program that cuts faces out of pictures leaves beside its result: a list of the faces, of the
// pictures without one, and a sheet of the crops to be looked at.
#pragma once
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "advface/detect/contact_sheet.h"
#include "advface/detect/face_list.h"
#include "tensor/io/atomic_file.h"
#include "tools/options/cli.h"

namespace advf::tools {

class CutReport {
 public:
  // The lists are OUT.tsv and OUT.rejected.tsv; sheet: "" for none.
  CutReport(std::string out, std::string sheet);
  // Faces that were cut out, with the crops (N,3,S,S) in [0, 1]. found: of each, or empty where a box was
  // cut. Returns the names of the rows: a picture's, with "#2" and so on for its further faces.
  std::vector<std::string> take(const FaceSource& faces, const std::vector<int64_t>& indices,
                                const std::vector<FoundFace>& found, const Tensor& crops);
  // Writes the files: the lists where faces were found.
  void commit(const FaceSource& faces, bool finds);
  // Of those found: how many, in how many pictures there were more.
  nlohmann::json json() const;
  void print(std::ostream& out) const;

 private:
  std::string out_, sheet_file_;
  std::unique_ptr<AtomicFile> list_;  // begun with the first face
  std::unique_ptr<ContactSheet> sheet_;
  int64_t found_ = 0, crowded_ = 0, others_ = 0;
};

}  // namespace advf::tools
