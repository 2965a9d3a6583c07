#include "tools/data/cut_report.h"

namespace advf::tools {

CutReport::CutReport(std::string out, std::string sheet)
    : out_(std::move(out)), sheet_file_(std::move(sheet)) {
  if (!sheet_file_.empty()) sheet_ = std::make_unique<ContactSheet>();
}

std::vector<std::string> CutReport::take(const FaceSource& faces, const std::vector<int64_t>& indices,
                                         const std::vector<FoundFace>& found, const Tensor& crops) {
  std::vector<std::string> names;
  const Tensor host = sheet_ ? crops.on_host() : Tensor();
  for (size_t i = 0; i < indices.size(); ++i) {
    const FoundFace* face = found.empty() ? nullptr : &found[i];
    const std::string picture = FaceName::parse(faces.name(indices[i])).picture;
    names.push_back(face && face->number > 1 ? picture + "#" + std::to_string(face->number) : picture);
    if (sheet_) {
      const int size = int(host.dim(2));
      sheet_->add(host.data<float>() + i * size_t(3) * size_t(size) * size_t(size), size, names.back(), face);
    }
    if (!face) continue;
    if (!list_) {
      list_ = std::make_unique<AtomicFile>(out_ + ".tsv");
      list_->write(face_list_header());
    }
    list_->write(face_list_line(picture, *face));
    ++found_;
    // The first that is used of a picture's faces stands for them.
    const bool first = i == 0 || indices[i - 1] != indices[i];
    if (first && face->of > 1) {
      ++crowded_;
      others_ += face->of - 1;
    }
  }
  return names;
}

void CutReport::commit(const FaceSource& faces, bool finds) {
  if (list_) list_->commit();
  if (finds) write_left_out(out_ + ".rejected.tsv", faces);
  if (sheet_ && sheet_->faces() > 0) write_png(sheet_file_, sheet_->draw("faces cut out"));
}

nlohmann::json CutReport::json() const {
  return {{"found", found_}, {"pictures_with_others", crowded_}, {"others", others_}};
}

void CutReport::print(std::ostream& out) const {
  if (found_ > 0) out << "; the faces -> " << out_ << ".tsv";
  if (crowded_ > 0)
    out << ", " << crowded_ << (crowded_ == 1 ? " picture has " : " pictures have ") << others_
        << (others_ == 1 ? " other face" : " other faces");
}

}  // namespace advf::tools
