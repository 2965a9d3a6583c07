// Where protected features go: to a new file, or behind the rows of a set that grows.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "advface/core/feature_file.h"
#include "advface/store/enrolled_set.h"

namespace advf {

class StoredRows {
 public:
  static StoredRows to_file(const std::string& path, const Shape& row, const FeatureInfo& info);
  // Waits while another adds to the set, as EnrolledSet has it.
  static StoredRows to_set(const std::string& path, const Shape& row, const FeatureInfo& info,
                           const std::function<bool()>& wait);

  int64_t first() const { return first_; }  // number of the first record
  // names: of a set's rows.
  void append(const Tensor& rows, const std::vector<std::string>& names);
  void commit();  // before it nothing is there

 private:
  std::unique_ptr<FeatureFileWriter> file_;
  std::unique_ptr<EnrolledSet> set_;
  int64_t first_ = 0;
};

}  // namespace advf
