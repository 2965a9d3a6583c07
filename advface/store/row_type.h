// As what the numbers of a stored row are kept. Fewer bytes make a search among many faster, and cost a
// little of every score (docs/benchmarks.md has how much).
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "advface/core/setting.h"

namespace advf {

enum class RowType {
  f32,
  f16,  // IEEE 754 binary16, rounded to the nearest, ties to even
  i8,   // a f32 factor, and a whole number from -127 to 127 for each value
};
template <>
const std::vector<Choice<RowType>>& choices<RowType>();

// Throws Error that begins with `what` for another text.
RowType row_type_from(const std::string& name, const std::string& what);

// Of a row of so many values.
int64_t row_bytes(RowType type, int64_t values);
// bytes: row_bytes(type, values.size()). Of i8 the largest value becomes 127, and the factor keeps the norm
// of the row. A row of f16 with a value beyond 65504 is an Error.
void pack_row(RowType type, std::span<const float> values, std::span<std::byte> bytes);
void unpack_row(RowType type, std::span<const std::byte> bytes, std::span<float> values);

}  // namespace advf
