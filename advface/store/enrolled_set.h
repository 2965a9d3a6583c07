// A set of protected features that an older version made, where today advface-store keeps them: SET.npy, a
// plain array, and beside it SET.npy.index, which says how the set was protected and what each row is
// (docs/formats.md). Such sets are read, so that they can be imported, and written no more.
#pragma once
#include <string>
#include <vector>

#include "advface/core/feature_file.h"
#include "nn/state_dict.h"
#include "tensor/shape.h"

namespace advf {

// What the index says of a set.
struct EnrolledRows {
  struct Record {
    std::string name, checksum;  // of a file or a person; FNV-1a of the row, 16 hexadecimal digits
  };
  Shape row;
  Metadata made_by;             // what all rows have in common (recogniser, shadow, settings), by name
  std::vector<Record> records;  // those that the array counts
};

// Reads the head of the index of SET.npy. Throws Error where it is of features of another shape than `row`.
FeatureInfo info_of_set(const std::string& path, const Shape& row);

// Reads array and index and compares each row with its checksum. Throws Error naming the first row that is
// not what was enrolled, and wherever array and index do not fit each other. What lies behind the rows that
// the array counts, in both, is what an enrolment left that broke off, and is not looked at.
EnrolledRows read_enrolled_set(const std::string& path);

}  // namespace advf
