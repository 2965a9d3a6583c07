#include "tools/data/cut_report.h"

namespace advf::tools {

CutReport::CutReport(const std::string& out, const std::string& sheet, const FaceCut& cut, FaceSource& faces)
    : out_(out), sheet_file_(sheet), finds_(cut.finds()), several_(cut.several()), faces_(faces) {
  if (!sheet_file_.empty()) sheet_ = std::make_unique<ContactSheet>();
  if (finds_) faces.set_left_out_file(left_out_path(out));
}

AtomicFile& CutReport::begin(const std::string& path) {
  return *files_.emplace_back(std::make_unique<AtomicFile>(path));
}

std::vector<std::string> CutReport::take(const std::vector<int64_t>& indices,
                                         const std::vector<FoundFace>& found, const Tensor& crops) {
  std::vector<std::string> names;
  const Tensor host = sheet_ ? crops.on_host() : Tensor();
  taken_ += int64_t(indices.size());
  for (size_t i = 0; i < indices.size(); ++i) {
    const std::string& listed = faces_.name(indices[i]);
    const FoundFace* face = found.empty() ? nullptr : &found[i];
    names.push_back(face ? FaceName::of(listed, *face, several_) : listed);
    if (sheet_) {
      const int size = int(host.dim(2));
      sheet_->add(host.data<float>() + i * size_t(3) * size_t(size) * size_t(size), size, names.back(), face);
    }
    if (!face) continue;
    if (!list_) {
      list_ = &begin(face_list_path(out_));
      list_->write(face_list_header());
    }
    list_->write(face_list_line(FaceName::parse(listed).picture, *face));
    ++found_;
    if (i > 0 && indices[i - 1] == indices[i]) continue;
    // Once for each picture.
    ++pictures_;
    const auto& refused = faces_.refused_faces();
    const int64_t left_out = std::distance(refused.lower_bound({indices[i], 0}),
                                           refused.lower_bound({indices[i] + 1, 0})),
                  used = std::count(indices.begin(), indices.end(), indices[i]),
                  others = face->of - used - left_out;
    crowded_ += others > 0 ? 1 : 0;
    others_ += others;
  }
  return names;
}

void CutReport::check_any() {
  if (taken_ > 0) return;
  const std::string rejected = left_out_summary(faces_);
  if (finds_) write_left_out(left_out_path(out_), faces_);
  fail(faces_.folder(), ": ",
       rejected.empty() ? "no image could be read" : "no face could be used; " + rejected,
       finds_ ? "; they are listed in " + left_out_path(out_) : "");
}

void CutReport::finish() {
  if (finds_) {
    left_out_ = &begin(left_out_path(out_));
    left_out_->write(left_out_list(faces_));
  }
  if (sheet_ && sheet_->faces() > 0) {
    const std::vector<std::byte> png = encode_png(sheet_->draw("faces cut out"));
    begin(sheet_file_).write(png.data(), png.size());
  }
  for (const auto& file : files_) file->finish();
}

std::vector<std::pair<std::string, std::string>> CutReport::lists() const {
  std::vector<std::pair<std::string, std::string>> list;
  if (list_) list.emplace_back(face_list_path(""), list_->written_at());
  if (left_out_) list.emplace_back(left_out_path(""), left_out_->written_at());
  return list;
}

void CutReport::commit() {
  remove_face_lists(out_);
  for (const auto& file : files_) file->commit();
}

void CutReport::add_to(nlohmann::json& result) const {
  result["left_out"] = count_by_reason(faces_);
  result["faces"] = {{"found", found_},
                     {"pictures", pictures_},
                     {"pictures_with_others", crowded_},
                     {"others", others_},
                     {"left_out", count_faces_by_reason(faces_)}};
}

void CutReport::print(std::ostream& out) const {
  if (found_ > 0) out << "; the faces -> " << face_list_path(out_);
  if (found_ > pictures_) out << ", of " << pictures_ << (pictures_ == 1 ? " picture" : " pictures");
  if (crowded_ > 0)
    out << ", " << crowded_ << (crowded_ == 1 ? " picture has " : " pictures have ") << others_
        << (others_ == 1 ? " other face" : " other faces");
  if (const std::string rejected = left_out_summary(faces_); !rejected.empty()) out << "; " << rejected;
}

}  // namespace advf::tools
