#include "lib/arrays.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "advface/store/nearest.h"
#include "lib/call.h"
#include "tensor/backend.h"
#include "tensor/io/half.h"

namespace advf::lib {
namespace {

using Wide = __int128;  // no sum of what a caller says runs over

size_t bytes_of_type(int32_t type) {
  switch (type) {
    case ADVFACE_F32:
      return 4;
    case ADVFACE_F64:
    case ADVFACE_I64:
      return 8;
    case ADVFACE_F16:
      return 2;
    case ADVFACE_U8:
      return 1;
  }
  return 0;
}

const char* name_of_type(int32_t type) {
  switch (type) {
    case ADVFACE_F32:
      return "f32";
    case ADVFACE_F64:
      return "f64";
    case ADVFACE_F16:
      return "f16";
    case ADVFACE_U8:
      return "u8";
    case ADVFACE_I64:
      return "i64";
  }
  return "an unknown type";
}

const std::byte* first_of(const advface_array& a) { return static_cast<const std::byte*>(a.data) + a.offset; }

// Throws where the array cannot be, or reaches beyond the memory that it says it has. Reads nothing of it.
Shape checked(const advface_array* array, const std::string& what) {
  check_argument(array, what, " is NULL");
  const advface_array& a = *array;
  const size_t size = bytes_of_type(a.type);
  check_argument(size > 0, what, ": ", a.type, " is no type of elements");
  check_argument(a.rank >= 1 && a.rank <= ADVFACE_MAX_RANK, what, ": a rank of ", a.rank, "; 1 to ",
                 ADVFACE_MAX_RANK, " are possible");
  Wide count = 1, low = Wide(a.offset), high = Wide(a.offset);
  Shape shape;
  for (int d = 0; d < a.rank; ++d) {
    check_argument(a.shape[d] >= 0, what, ": dimension ", d, " is ", a.shape[d]);
    shape.push_back(a.shape[d]);
    count *= a.shape[d];
    check_argument(count <= Wide(INT64_MAX), what, ": too many elements");
    const Wide reach = Wide(a.shape[d] - 1) * a.strides[d];
    (reach < 0 ? low : high) += reach;
  }
  if (count == 0) return shape;
  check_argument(a.data, what, ": its data are NULL, but its shape is ", shape);
  check_argument(low >= 0 && high + Wide(size) <= Wide(a.bytes), what, ": shape ", shape,
                 " with its strides and offset reaches beyond the ", a.bytes,
                 " bytes that it is said to have");
  check_argument(count * Wide(size) <= Wide(a.bytes), what, ": its elements overlap: ", shape, " of ",
                 name_of_type(a.type), " take more than its ", a.bytes, " bytes; copy it first");
  return shape;
}

// Whether elements lie in C order without gaps, and where their type may.
bool is_plain(const advface_array& a) {
  const size_t size = bytes_of_type(a.type);
  if (reinterpret_cast<uintptr_t>(first_of(a)) % size != 0) return false;
  int64_t expected = int64_t(size);
  for (int d = a.rank - 1; d >= 0; --d) {
    if (a.shape[d] == 0) return true;
    if (a.shape[d] != 1 && a.strides[d] != expected) return false;
    expected *= a.shape[d];
  }
  return true;
}

// f(pointer to element), in C order.
template <class F>
void for_each_element(const advface_array& a, const F& f) {
  int64_t at[ADVFACE_MAX_RANK] = {};
  for (int d = 0; d < a.rank; ++d)
    if (a.shape[d] == 0) return;
  const int last = a.rank - 1;
  for (;;) {
    const std::byte* row = first_of(a);
    for (int d = 0; d < last; ++d) row += at[d] * a.strides[d];
    for (int64_t i = 0; i < a.shape[last]; ++i) f(row + i * a.strides[last]);
    int d = last - 1;
    while (d >= 0 && ++at[d] == a.shape[d]) at[d--] = 0;
    if (d < 0) return;
  }
}

template <class T>
T value_at(const std::byte* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

Tensor as_f32(const advface_array& a, const Shape& shape, const std::string& what) {
  const BackendScope on_host(host_backend());
  const auto elements = size_t(shape.numel());
  if (a.type == ADVFACE_F32 && elements > 0 && is_plain(a))
    return Tensor::borrow({first_of(a), elements * sizeof(float)}, shape, DType::f32);
  Tensor copy = Tensor::empty(shape);
  if (elements == 0) return copy;
  float* out = copy.mutable_data<float>();
  switch (a.type) {
    case ADVFACE_F32:
      for_each_element(a, [&](const std::byte* p) { *out++ = value_at<float>(p); });
      break;
    case ADVFACE_F64:
      for_each_element(a, [&](const std::byte* p) { *out++ = float(value_at<double>(p)); });
      break;
    case ADVFACE_F16:
      for_each_element(a, [&](const std::byte* p) { *out++ = f16_to_float(value_at<uint16_t>(p)); });
      break;
    default:
      refuse(ADVFACE_INVALID_ARGUMENT, what, " are of type ", name_of_type(a.type),
             "; features are f32 (or f64 or f16, which are copied)");
  }
  return copy;
}

void* written(const advface_array* array, const std::string& what, int32_t type, const Shape& shape) {
  const Shape said = checked(array, what);
  check_argument(!array->read_only, what,
                 ": may only be read, as its read_only says; results need memory of their own");
  check_argument(array->type == type, what, ": is of type ", name_of_type(array->type), ", but ",
                 name_of_type(type), " are written");
  check_argument(said == shape, what, ": is of shape ", said, ", but ", shape, " are written");
  if (shape.numel() == 0) return nullptr;
  check_argument(is_plain(*array), what,
                 ": what is written must lie in C order without gaps, at a multiple of its element's size");
  return static_cast<std::byte*>(array->data) + array->offset;
}

// Where the values of red, green and blue (or grey alone) stand in a pixel.
struct PixelOrder {
  int channels = 3;  // of memory
  int red = 0, green = 1, blue = 2;
};
PixelOrder order_of(int32_t colours) {
  switch (colours) {
    case ADVFACE_RGB:
      return {3, 0, 1, 2};
    case ADVFACE_BGR:
      return {3, 2, 1, 0};
    case ADVFACE_RGBA:
      return {4, 0, 1, 2};
    case ADVFACE_BGRA:
      return {4, 2, 1, 0};
    case ADVFACE_GREY:
      return {1, 0, 0, 0};
  }
  refuse(ADVFACE_INVALID_ARGUMENT, "colours: ", colours, " is no order of colours; ADVFACE_RGB is one");
}

// Pictures that lie one behind the other as (N, H, W, C), or one as (H, W, C).
void check_pictures(const advface_array* array, const std::string& what, int32_t colours, int rank) {
  const Shape shape = checked(array, what);
  const PixelOrder order = order_of(colours);
  check_argument(shape.rank() == rank, what, ": is of shape ", shape, ", but ",
                 rank == 4 ? "pictures are (N, H, W, C)" : "a picture is (H, W, C)");
  check_argument(shape[-1] == order.channels, what, ": has ", shape[-1],
                 " values to a pixel, but colours asks for ", order.channels);
  const int64_t height = shape[rank - 3], width = shape[rank - 2];
  check_argument(height >= 1 && width >= 1 && height <= 65535 && width <= 65535 &&
                     height * width <= ImageLimits().max_pixels,
                 what, ": pictures of ", width, " x ", height, " pixels cannot be used");
}

// out(y, x, c) of picture i; strides of rows, pixels and colours are the last three.
template <class F>
void for_each_value(const advface_array& a, int64_t i, const PixelOrder& order, const F& f) {
  const int r = a.rank - 3;
  const std::byte* base = first_of(a) + (r > 0 ? i * a.strides[0] : 0);
  const int64_t down = a.strides[r], across = a.strides[r + 1], deep = a.strides[r + 2];
  const int places[] = {order.red, order.green, order.blue};
  const int channels = order.channels == 1 ? 1 : 3;
  for (int64_t y = 0; y < a.shape[r]; ++y)
    for (int64_t x = 0; x < a.shape[r + 1]; ++x)
      for (int c = 0; c < channels; ++c) f(y, x, c, base + y * down + x * across + places[c] * deep);
}

Image image_of(const advface_array& a, int64_t i, int32_t colours) {
  const PixelOrder order = order_of(colours);
  const int r = a.rank - 3;
  Image image(int(a.shape[r + 1]), int(a.shape[r]), order.channels == 1 ? 1 : 3);
  uint8_t* out = image.pixels.data();
  for_each_value(a, i, order, [&](int64_t, int64_t, int, const std::byte* p) { *out++ = uint8_t(*p); });
  return image;
}

}  // namespace

Shape shape_of(const advface_array* array, const std::string& what) { return checked(array, what); }

Tensor read_rows(const advface_array* array, const std::string& what, const Shape& row) {
  const Shape shape = checked(array, what);
  check_argument(shape.rank() == row.rank() + 1 && shape == with_rows(shape[0], row), what, " are of shape ",
                 shape, ", but rows of shape ", row, " are wanted here");
  return as_f32(*array, shape, what);
}

Tensor read_rows_of_rank(const advface_array* array, const std::string& what, int rank) {
  const Shape shape = checked(array, what);
  check_argument(shape.rank() == rank + 1, what, " are of shape ", shape, ", but ", rank + 1,
                 " dimensions are wanted here");
  return as_f32(*array, shape, what);
}

void check_rows(const Tensor& rows, FeatureDomain domain, const std::string& what) {
  const int64_t n = rows.dim(0);
  if (n == 0) return;
  const size_t d = size_t(rows.numel() / n);
  // A look at all of a row at once; who does not pass it is looked at value by value.
  const auto passes = [&](const float* row) {
    const float square = inner_product(row, row, int64_t(d));
    if (domain == FeatureDomain::real) return std::isfinite(square);
    return domain == FeatureDomain::sphere && std::abs(square - 1) < 1e-3f;
  };
  for (int64_t i = 0; i < n; ++i)
    if (!passes(rows.data<float>() + size_t(i) * d))
      check_feature({rows.data<float>() + size_t(i) * d, d}, domain,
                    [&] { return what + ", row " + std::to_string(i); });
}

std::vector<int64_t> read_records(const advface_array* array, int64_t n, bool once) {
  std::vector<int64_t> numbers(static_cast<size_t>(n));
  if (!array) {
    std::iota(numbers.begin(), numbers.end(), int64_t(0));
    return numbers;
  }
  const Shape shape = checked(array, "records");
  check_argument(array->type == ADVFACE_I64 && shape == Shape({n}), "records: ", name_of_type(array->type),
                 " of shape ", shape, ", but ", Shape({n}), " of i64 are wanted, a number for each row");
  size_t i = 0;
  for_each_element(*array, [&](const std::byte* p) { numbers[i++] = value_at<int64_t>(p); });
  for (const int64_t number : numbers)
    check_argument(number >= 0, "records: the number ", number, " is below 0");
  if (!once) return numbers;
  std::vector<int64_t> sorted = numbers;
  std::sort(sorted.begin(), sorted.end());
  const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
  check_argument(twice == sorted.end(), "records: the number ", twice == sorted.end() ? 0 : *twice,
                 " stands there twice; what is random about a record comes from its number");
  return numbers;
}

int64_t count_pictures(const advface_array* array, const std::string& what, int32_t colours) {
  check_pictures(array, what, colours, 4);
  check_argument(array->type == ADVFACE_U8 || array->type == ADVFACE_F32, what, ": pixels are of type ",
                 name_of_type(array->type), "; u8, or f32 from 0 to 1, can be used");
  return array->shape[0];
}

bool is_float_picture(const advface_array* array) { return array->type == ADVFACE_F32; }

Image read_picture(const advface_array* array, int64_t i, int32_t colours) {
  return image_of(*array, i, colours);
}

void read_float_picture(const advface_array* array, int64_t i, int32_t colours, float* out) {
  const PixelOrder order = order_of(colours);
  const int64_t height = array->shape[1], width = array->shape[2], plane = height * width;
  for_each_value(*array, i, order, [&](int64_t y, int64_t x, int c, const std::byte* p) {
    const float v = value_at<float>(p);
    if (!(v >= 0 && v <= 1))
      refuse(ADVFACE_FAILED, "pixels: a value of picture ", i, " is ", v, ", not from 0 to 1");
    out[c * plane + y * width + x] = v;
  });
  if (order.channels == 1)
    for (int c = 1; c < 3; ++c) std::copy_n(out, plane, out + c * plane);
}

void check_picture(const advface_array* array, const std::string& what, int32_t colours) {
  check_pictures(array, what, colours, 3);
  check_argument(array->type == ADVFACE_U8, what, ": pixels are of type ", name_of_type(array->type),
                 "; u8 can be used");
}

Image read_picture(const advface_array* array, const std::string& what, int32_t colours) {
  check_picture(array, what, colours);
  return image_of(*array, 0, colours);
}

float* written_f32(const advface_array* array, const std::string& what, const Shape& shape) {
  return static_cast<float*>(written(array, what, ADVFACE_F32, shape));
}
double* written_f64(const advface_array* array, const std::string& what, const Shape& shape) {
  return static_cast<double*>(written(array, what, ADVFACE_F64, shape));
}
int64_t* written_i64(const advface_array* array, const std::string& what, const Shape& shape) {
  return static_cast<int64_t*>(written(array, what, ADVFACE_I64, shape));
}

void check_apart(const advface_array* read, const advface_array* written, bool same_is_fine) {
  if (!read || !written) return;
  const auto range = [](const advface_array& a) {
    uintptr_t low = reinterpret_cast<uintptr_t>(first_of(a)), high = low + bytes_of_type(a.type);
    for (int d = 0; d < a.rank; ++d) {
      if (a.shape[d] == 0) return std::pair(uintptr_t(0), uintptr_t(0));
      const int64_t reach = (a.shape[d] - 1) * a.strides[d];
      (reach < 0 ? low : high) += uintptr_t(reach);
    }
    return std::pair(low, high);
  };
  const auto [low, high] = range(*read);
  const auto [from, to] = range(*written);
  if (low >= to || from >= high) return;
  const bool same = low == from && high == to && read->type == written->type && is_plain(*read);
  check_argument(same && same_is_fine, "what is written overlaps what is read; give it memory of its own");
}

}  // namespace advf::lib

advface_array advface_array_of(void* data, uint64_t bytes, int32_t type, int32_t rank, const int64_t* shape) {
  using namespace advf::lib;
  advface_array a = {};
  a.data = data;
  a.bytes = bytes;
  a.type = type;
  a.rank = rank;
  if (rank < 1 || rank > ADVFACE_MAX_RANK || !shape) return a;  // told where it is used
  int64_t stride = int64_t(bytes_of_type(type));
  for (int d = rank - 1; d >= 0; --d) {
    a.shape[d] = shape[d];
    a.strides[d] = stride;
    if (__builtin_mul_overflow(stride, std::max<int64_t>(shape[d], 1), &stride)) stride = 0;
  }
  return a;
}
