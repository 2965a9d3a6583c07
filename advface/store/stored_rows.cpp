#include "advface/store/stored_rows.h"

namespace advf {

StoredRows StoredRows::to_file(const std::string& path, const Shape& row, const FeatureInfo& info) {
  StoredRows out;
  out.file_ = std::make_unique<FeatureFileWriter>(path, row, info);
  return out;
}

StoredRows StoredRows::to_set(const std::string& path, const Shape& row, const FeatureInfo& info,
                              const std::function<bool()>& wait) {
  StoredRows out;
  out.set_ = std::make_unique<EnrolledSet>(path, row, made_by(info), wait);
  out.first_ = out.set_->rows();
  return out;
}

void StoredRows::append(const Tensor& rows, const std::vector<std::string>& names) {
  set_ ? set_->append(rows, names) : file_->append_rows(rows);
}

void StoredRows::commit() { set_ ? set_->commit() : file_->commit(); }

}  // namespace advf
