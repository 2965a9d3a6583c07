// Field numbers stand beside each case; what the importer does not use is skipped.
#include "nn/onnx/tensor_fields.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <utility>

#include "nn/onnx/message.h"
#include "nn/onnx/problems.h"
#include "tensor/io/half.h"

namespace advf::onnx {
namespace {

// TensorProto.DataType
enum ElementType : int64_t {
  kFloat = 1,
  kInt32 = 6,
  kInt64 = 7,
  kBool = 9,
  kFloat16 = 10,
  kDouble = 11,
  kBfloat16 = 16
};

// The little-endian values of `raw`, each passed through `convert`. The machine is little-endian (x86-64,
// AArch64).
template <class From, class To, class Convert>
std::vector<To> unpack(std::string_view raw, Convert convert) {
  std::vector<To> out(raw.size() / sizeof(From));
  for (size_t i = 0; i < out.size(); ++i) {
    From v;
    std::memcpy(&v, raw.data() + i * sizeof(From), sizeof(From));
    out[i] = To(convert(v));
  }
  return out;
}

// Bytes of one element in raw_data; 0 for a type that is not supported.
size_t raw_size(int64_t type) {
  switch (type) {
    case kBool:
      return 1;
    case kFloat16:
    case kBfloat16:
      return 2;
    case kFloat:
    case kInt32:
      return 4;
    case kInt64:
    case kDouble:
      return 8;
    default:
      return 0;
  }
}

void unpack_raw(const TensorFields& t, Constant& out) {
  const auto same = [](auto v) { return v; };
  switch (t.type) {
    case kFloat:
      out.floats = unpack<float, float>(t.raw, same);
      break;
    case kDouble:
      out.floats = unpack<double, float>(t.raw, same);
      break;
    case kFloat16:
      out.floats = unpack<uint16_t, float>(t.raw, f16_to_float);
      break;
    case kBfloat16:
      out.floats = unpack<uint16_t, float>(t.raw, bf16_to_float);
      break;
    case kInt32:
      out.ints = unpack<int32_t, int64_t>(t.raw, same);
      break;
    case kInt64:
      out.ints = unpack<int64_t, int64_t>(t.raw, same);
      break;
    case kBool:
      out.ints = unpack<uint8_t, int64_t>(t.raw, [](uint8_t v) { return v != 0; });
      break;
    default:
      break;
  }
}

void take_typed(TensorFields& t, Constant& out) {
  switch (t.type) {
    case kFloat:
      out.floats = std::move(t.floats);
      break;
    case kDouble:
      out.floats.assign(t.doubles.begin(), t.doubles.end());
      break;
    case kFloat16:
    case kBfloat16:  // 16 bits each in int32_data
      for (const int64_t v : t.ints32)
        out.floats.push_back(t.type == kFloat16 ? f16_to_float(uint16_t(v)) : bf16_to_float(uint16_t(v)));
      break;
    case kInt64:
      out.ints = std::move(t.ints64);
      break;
    default:
      out.ints = std::move(t.ints32);
      break;
  }
}

// A number of bytes, which ONNX writes as text.
uint64_t byte_count(const std::string& text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  check(error == std::errc() && end == text.data() + text.size(), "keeps its data at \"", text,
        "\", which is no number");
  return value;
}

// uint8, int8, uint16, int16, and what is shorter than 16 bits.
bool is_quantised(int64_t type) { return (type >= 2 && type <= 5) || type >= 17; }

}  // namespace

Constant judge_tensor(TensorFields& t, ExternalData& external) {
  Constant out{.name = t.name, .shape = {}, .floats = {}, .ints = {}};
  check(!is_quantised(t.type), kIsQuantised);
  check(!t.segmented, "is stored in segments, which is not supported");
  check(raw_size(t.type) > 0, "has element type ", t.type,
        "; bool, int32, int64 and the float types are read");
  for (const int64_t d : t.dims) check(d >= 0, "has a dimension of ", d);
  out.shape = Shape(t.dims);
  if (t.external) {
    t.raw = external.read(t.location, byte_count(t.offset), byte_count(t.length));
    t.has_raw = true;
  }
  out.is_float = t.type == kFloat || t.type == kDouble || t.type == kFloat16 || t.type == kBfloat16;
  const auto expected = uint64_t(out.shape.numel());
  if (t.has_raw) {
    check(t.raw.size() % raw_size(t.type) == 0 && t.raw.size() / raw_size(t.type) == expected, "has shape ",
          out.shape, " with ", raw_size(t.type), " bytes each but holds ", t.raw.size(), " bytes");
    unpack_raw(t, out);
  } else {
    take_typed(t, out);
    const size_t held = out.is_float ? out.floats.size() : out.ints.size();
    check(held == expected, "has shape ", out.shape, " but holds ", held, " values");
  }
  // Infinities are limits and masks; what is not a number comes of a training or an export that failed.
  check(std::none_of(out.floats.begin(), out.floats.end(), [](float v) { return std::isnan(v); }),
        "holds values that are not numbers; export the network again");
  return out;
}

TensorFields read_tensor_fields(std::string_view bytes) {
  TensorFields t;
  for (Message m(bytes); m.next();) switch (m.field()) {
      case 1:
        m.append(t.dims);
        break;
      case 2:
        t.type = m.integer();
        break;
      case 3:
        t.segmented = true, m.skip();
        break;
      case 4:
        m.append(t.floats);
        break;
      case 5:
        m.append(t.ints32);
        break;
      case 7:
        m.append(t.ints64);
        break;
      case 8:
        t.name = m.text();
        break;
      case 9:
        t.raw = m.bytes(), t.has_raw = true;
        break;
      case 10:
        m.append(t.doubles);
        break;
      case 13: {
        t.external = true;
        const auto [key, value] = read_entry(m.bytes());
        if (key == "location") t.location = value;
        if (key == "offset") t.offset = value;
        if (key == "length") t.length = value;
        break;
      }
      case 14:
        t.external |= m.integer() == 1;
        break;
      default:
        m.skip();
    }
  return t;
}

}  // namespace advf::onnx
