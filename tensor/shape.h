// The shape of a tensor: up to five dimensions in a fixed array, row-major and contiguous, so there are no
// strides to carry. Images are (N, C, H, W). The element count is checked against overflow.
#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>
#include <ostream>
#include <span>
#include <string>

#include "tensor/check.h"

namespace advf {

class Shape {
 public:
  static constexpr int kMaxRank = 5;

  Shape() = default;  // rank 0: a scalar
  Shape(std::initializer_list<int64_t> dims) : Shape(std::span<const int64_t>(dims.begin(), dims.size())) {}
  explicit Shape(std::span<const int64_t> dims) {
    check(dims.size() <= kMaxRank, "a shape has at most ", kMaxRank, " dimensions, not ", dims.size());
    for (int64_t d : dims) push_back(d);
  }

  int rank() const {
    if (rank_ < 0 || rank_ > kMaxRank)
      __builtin_unreachable();  // lets the compiler see that indices are in range
    return rank_;
  }
  int64_t operator[](int axis) const { return dims_[axis < 0 ? axis + rank_ : axis]; }
  void set(int axis, int64_t size) {
    check(size >= 0, "a dimension cannot be ", size);
    dims_[axis < 0 ? axis + rank_ : axis] = size;
  }
  void push_back(int64_t size) {
    check(rank_ < kMaxRank, "a shape has at most ", kMaxRank, " dimensions");
    check(size >= 0, "a dimension cannot be ", size);
    dims_[rank_++] = size;
  }

  // Number of elements; throws where it does not fit 63 bits.
  int64_t numel() const { return numel(0, rank_); }
  // Number of elements of the dimensions [first, last).
  int64_t numel(int first, int last) const {
    int64_t n = 1;
    for (int i = first; i < last; ++i)
      check(!__builtin_mul_overflow(n, dims_[i], &n), "the shape ", *this, " has too many elements");
    return n;
  }

  const int64_t* begin() const { return dims_.data(); }
  const int64_t* end() const { return dims_.data() + rank_; }
  bool operator==(const Shape& other) const = default;  // unused dimensions are zero

  std::string str() const {
    std::string s = "[";
    for (int i = 0; i < rank_; ++i) s += (i ? "," : "") + std::to_string(dims_[i]);
    return s + "]";
  }

 private:
  std::array<int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

inline std::ostream& operator<<(std::ostream& out, const Shape& s) { return out << s.str(); }

// (n, row...), and the row of such a shape.
inline Shape with_rows(int64_t n, const Shape& row) {
  Shape shape{n};
  for (const int64_t d : row) shape.push_back(d);
  return shape;
}
inline Shape row_of(const Shape& shape) {
  return Shape(std::span(shape.begin() + 1, size_t(shape.rank() - 1)));
}

}  // namespace advf
