// The caller's arrays: looked at before a byte is touched, read where they lie where they can be.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "advface/core/feature_domain.h"
#include "lib/include/advface.h"
#include "tensor/io/image.h"
#include "tensor/tensor.h"

namespace advf::lib {

// Everything below throws CallError that begins with `what` for an array that cannot be.

// (N, row) as f32, in host memory; not copied where it lies so, which needs the caller's memory to stay.
Tensor read_rows(const advface_array* array, const std::string& what, const Shape& row);
// The same of any row of this rank.
Tensor read_rows_of_rank(const advface_array* array, const std::string& what, int rank);
// Throws CallError that names the first row that is not finite or lies outside of the domain.
void check_rows(const Tensor& rows, FeatureDomain domain, const std::string& what);
// (n) numbers, none of them below 0; null: 0, 1, ..., for who does not look at them. once: none of them
// twice.
std::vector<int64_t> read_records(const advface_array* array, int64_t n, bool once);

// How many pictures lie in (N, H, W, C), or none where the array is no such.
int64_t count_pictures(const advface_array* array, const std::string& what, int32_t colours);
bool is_float_picture(const advface_array* array);
// Picture i of (N, H, W, C), u8; in RGB or grey.
Image read_picture(const advface_array* array, int64_t i, int32_t colours);
// The same of f32 from 0 to 1: (3, H, W), RGB.
void read_float_picture(const advface_array* array, int64_t i, int32_t colours, float* out);
// (H, W, C), u8; check_picture() looks without reading.
void check_picture(const advface_array* array, const std::string& what, int32_t colours);
Image read_picture(const advface_array* array, const std::string& what, int32_t colours);

// Where results go; exactly of this shape.
float* written_f32(const advface_array* array, const std::string& what, const Shape& shape);
double* written_f64(const advface_array* array, const std::string& what, const Shape& shape);
int64_t* written_i64(const advface_array* array, const std::string& what, const Shape& shape);
// The shape of an array that is to be written, where it is not known before.
Shape shape_of(const advface_array* array, const std::string& what);
// Throws where what is written would overwrite what is read, but for one and the same array.
void check_apart(const advface_array* read, const advface_array* written, bool same_is_fine);
// Structs that are written, as an array for check_apart(); of none where they are null.
template <class T>
advface_array bytes_of(const T* structs, int64_t n) {
  const int64_t bytes = structs ? n * int64_t(sizeof(T)) : 0;
  return advface_array_of(const_cast<T*>(structs), uint64_t(bytes), ADVFACE_U8, 1, &bytes);
}

}  // namespace advf::lib
