// A set of protected features that grows by enrolment: SET.npy, a plain array that numpy reads, and beside it
// SET.npy.index, which says how the set was protected and what each row is (docs/formats.md). Whoever reads
// the array sees the old set or the new one at every moment, also after a kill or on a full disk: rows go
// behind those that the header counts, then the index, then the header, each on the disk before the next.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "advface/core/feature_file.h"
#include "nn/state_dict.h"
#include "tensor/io/append_file.h"
#include "tensor/tensor.h"

namespace advf {

// One opening of a set to append to it. The set is locked meanwhile, among those that append.
class EnrolledSet {
 public:
  // Opens the set, or begins a new one where SET.npy does not exist. `row`: shape of a feature; `made_by`:
  // what all rows have in common (recogniser, shadow, settings), by name. What a broken append left is cut
  // off. While another holds the lock, `wait` is asked every 50 ms; false ends it with Interrupted. Throws
  // Error for another shape or another made_by than the set's, naming both, for an array without an index,
  // for an index that lacks rows, and where the last row is not what the index says.
  EnrolledSet(const std::string& path, const Shape& row, const Metadata& made_by,
              const std::function<bool()>& wait = {});
  ~EnrolledSet();  // without commit() the set is as it was
  EnrolledSet(const EnrolledSet&) = delete;
  EnrolledSet& operator=(const EnrolledSet&) = delete;

  int64_t rows() const { return committed_ + added_; }  // the number of the next record
  // (n, row...) f32, and a name for each: a file, a person. At most 4096 bytes; what is not UTF-8 is
  // replaced.
  void append(const Tensor& rows, std::span<const std::string> names);
  void commit();  // all rows at once, and no more of them afterwards

 private:
  uint64_t end_of(int64_t rows) const;  // in the array
  void lock(const std::function<bool()>& wait);
  void begin(const Metadata& made_by);
  void open(const Metadata& made_by);
  void write_header(int64_t rows);

  std::string path_;
  Shape row_;
  uint64_t row_bytes_;
  std::unique_ptr<AppendFile> index_, array_;
  int64_t committed_ = 0, added_ = 0;
  uint64_t index_end_ = 0;  // of the committed rows
  std::string lines_;       // of the index, to be written by commit()
  bool is_new_ = false, done_ = false, header_at_risk_ = false;
};

// What the index says of a set.
struct EnrolledRows {
  struct Record {
    std::string name, checksum;
  };
  Shape row;
  Metadata made_by;
  std::vector<Record> records;  // those that the array counts
};
// What all records have in common, as the set keeps it; and what it says of its features. Sets hold what was
// protected by one protection.
Metadata made_by(const FeatureInfo& info);
// Reads the head of the index of SET.npy. Throws Error where it is of features of another shape than `row`.
FeatureInfo info_of_set(const std::string& path, const Shape& row);

// Reads array and index and compares each row with its checksum. Throws Error naming the first row that is
// not what was enrolled, and wherever array and index do not fit each other.
EnrolledRows read_enrolled_set(const std::string& path);

}  // namespace advf
