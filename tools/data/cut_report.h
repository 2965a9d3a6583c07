// What a program that cuts faces out of pictures leaves beside its result: a list of the faces, of the
// pictures without one, and a sheet of the crops to be looked at.
#pragma once
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "advface/detect/contact_sheet.h"
#include "advface/detect/face_list.h"
#include "tensor/io/atomic_file.h"
#include "tools/options/cli.h"

namespace advf::tools {

class CutReport {
 public:
  // The lists are OUT.tsv and OUT.rejected.tsv, where the cut finds faces; sheet: "" for none. The second
  // list is also written where too many are left out.
  CutReport(const std::string& out, const std::string& sheet, const FaceCut& cut, FaceSource& faces);
  // Faces that were cut out, with the crops (N,3,S,S) in [0, 1]. found: of each, or empty where a box was
  // cut. Returns the names of the rows: as FaceName::of() has them.
  std::vector<std::string> take(const std::vector<int64_t>& indices, const std::vector<FoundFace>& found,
                                const Tensor& crops);
  // Throws Error, once what was left out is listed, where no face came.
  void check_any();
  // Makes the files, as AtomicFile has it.
  void finish();
  // The lists among them, once they are made: what stands behind OUT in their names, and where their bytes
  // lie.
  std::vector<std::pair<std::string, std::string>> lists() const;
  // Puts them where they belong, and removes those of an earlier call that this one has not.
  void commit();
  // How many were found, in how many pictures, and what is left out.
  void add_to(nlohmann::json& result) const;
  void print(std::ostream& out) const;

 private:
  AtomicFile& begin(const std::string& path);

  std::string out_, sheet_file_;
  bool finds_, several_;
  FaceSource& faces_;
  std::vector<std::unique_ptr<AtomicFile>> files_;
  AtomicFile *list_ = nullptr, *left_out_ = nullptr;  // begun with the first face; with finish()
  std::unique_ptr<ContactSheet> sheet_;
  int64_t taken_ = 0;
  // Of faces that were found: the pictures that they are of, and how many faces these have besides that were
  // not asked for, in how many of them.
  int64_t found_ = 0, pictures_ = 0, crowded_ = 0, others_ = 0;
};

}  // namespace advf::tools
