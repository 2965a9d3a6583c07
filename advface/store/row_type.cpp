#include "advface/store/row_type.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "tensor/io/half.h"

namespace advf {
namespace {

constexpr float kMostI8 = 127;

void pack_f16(std::span<const float> values, std::byte* out) {
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t bits = float_to_f16(values[i]);
    check(std::isfinite(f16_to_float(bits)), "a value of ", values[i], " is beyond those of f16 rows");
    std::memcpy(out + 2 * i, &bits, 2);
  }
}

void pack_i8(std::span<const float> values, std::byte* out) {
  float most = 0;
  for (const float v : values) most = std::max(most, std::abs(v));
  const float to_whole = most > 0 ? kMostI8 / most : 0;
  double square = 0, whole_square = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const auto whole = int8_t(std::lrint(values[i] * to_whole));
    out[sizeof(float) + i] = std::byte(whole);
    square += double(values[i]) * values[i];
    whole_square += double(whole) * whole;
  }
  const auto factor = float(whole_square > 0 ? std::sqrt(square / whole_square) : 0);
  std::memcpy(out, &factor, sizeof(factor));
}

void unpack_f16(const std::byte* bytes, std::span<float> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    uint16_t half = 0;
    std::memcpy(&half, bytes + 2 * i, 2);
    values[i] = f16_to_float(half);
  }
}

void unpack_i8(const std::byte* bytes, std::span<float> values) {
  float factor = 0;
  std::memcpy(&factor, bytes, sizeof(factor));
  for (size_t i = 0; i < values.size(); ++i) values[i] = factor * float(int8_t(bytes[sizeof(float) + i]));
}

}  // namespace

template <>
const std::vector<Choice<RowType>>& choices<RowType>() {
  static const std::vector<Choice<RowType>> list = {
      {RowType::f32, "f32"}, {RowType::f16, "f16"}, {RowType::i8, "i8"}};
  return list;
}

RowType row_type_from(const std::string& name, const std::string& what) {
  for (const auto& choice : choices<RowType>())
    if (name == choice.name) return choice.value;
  fail(what, ": its rows are of the type \"", name, "\", which this program does not know");
}

int64_t row_bytes(RowType type, int64_t values) {
  switch (type) {
    case RowType::f32:
      return values * 4;
    case RowType::f16:
      return values * 2;
    case RowType::i8:
      return values + int64_t(sizeof(float));
  }
  fail("a row type that there is not");
}

void pack_row(RowType type, std::span<const float> values, std::span<std::byte> bytes) {
  check(int64_t(bytes.size()) == row_bytes(type, int64_t(values.size())), "a row of ", bytes.size(),
        " bytes for ", values.size(), " values");
  switch (type) {
    case RowType::f32:
      std::memcpy(bytes.data(), values.data(), bytes.size());
      return;
    case RowType::f16:
      return pack_f16(values, bytes.data());
    case RowType::i8:
      return pack_i8(values, bytes.data());
  }
}

void unpack_row(RowType type, std::span<const std::byte> bytes, std::span<float> values) {
  check(int64_t(bytes.size()) == row_bytes(type, int64_t(values.size())), "a row of ", bytes.size(),
        " bytes for ", values.size(), " values");
  switch (type) {
    case RowType::f32:
      std::memcpy(values.data(), bytes.data(), bytes.size());
      return;
    case RowType::f16:
      return unpack_f16(bytes.data(), values);
    case RowType::i8:
      return unpack_i8(bytes.data(), values);
  }
}

}  // namespace advf
