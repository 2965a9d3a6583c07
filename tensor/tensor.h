// A Tensor is a shape, an element type and a share of a contiguous block of bytes. Once an op has produced
// it, it is immutable (optimiser steps, which are never recorded, are the one exception). Copies share
// storage and keep the id: the id names a value, which is how the tape and the planner follow it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "tensor/shape.h"

namespace advf {

class Backend;

enum class DType : uint8_t { f32, f64, i32, i64, u8 };
size_t size_of(DType t);
const char* name_of(DType t);
template <class T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<float>() {
  return DType::f32;
}
template <>
constexpr DType dtype_of<double>() {
  return DType::f64;
}
template <>
constexpr DType dtype_of<int32_t>() {
  return DType::i32;
}
template <>
constexpr DType dtype_of<int64_t>() {
  return DType::i64;
}
template <>
constexpr DType dtype_of<uint8_t>() {
  return DType::u8;
}

// A block of memory that its backend frees, or that somebody else does.
class Storage {
 public:
  Storage(Backend& backend, size_t bytes);
  // Memory that stays where it is and as it is at least as long as this lives.
  Storage(Backend& backend, std::byte* borrowed, size_t bytes);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  Backend& backend() const { return backend_; }
  std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  Backend& backend_;
  std::byte* data_;
  size_t bytes_;
  bool borrowed_ = false;
};

class Tensor {
 public:
  Tensor() = default;  // undefined: an absent optional input, a gradient that is zero

  // On the current backend (backend.h). `empty` leaves the bytes unset. Under a MetaScope there is no
  // storage.
  static Tensor empty(const Shape& shape, DType dtype = DType::f32);
  static Tensor full(const Shape& shape, double value, DType dtype = DType::f32);
  static Tensor zeros(const Shape& shape, DType dtype = DType::f32) { return full(shape, 0.0, dtype); }
  template <class T>
  static Tensor from(std::span<const T> values, const Shape& shape) {
    check(int64_t(values.size()) == shape.numel(), "tensor of shape ", shape, " from ", values.size(),
          " values");
    return from_bytes(std::as_bytes(values), shape, dtype_of<T>());
  }
  template <class T>
  static Tensor from(const std::vector<T>& values, const Shape& shape) {
    return from(std::span<const T>(values), shape);
  }
  static Tensor from_bytes(std::span<const std::byte> bytes, const Shape& shape, DType dtype);
  // These bytes themselves, in host memory, for somebody who only reads: they stay as they are as long as the
  // tensor, its copies and views of it live. Aligned as the element type asks; a copy where the current
  // backend's memory is another.
  static Tensor borrow(std::span<const std::byte> bytes, const Shape& shape, DType dtype);
  static Tensor meta(const Shape& shape, DType dtype = DType::f32);  // shape only, no storage

  bool defined() const { return id_ != 0; }
  bool has_storage() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  int64_t dim(int axis) const { return shape_[axis]; }
  int64_t numel() const { return shape_.numel(); }
  DType dtype() const { return dtype_; }
  size_t bytes() const { return size_t(numel()) * size_of(dtype_); }
  uint64_t id() const { return id_; }
  Backend& backend() const;            // whose memory this is
  bool is_on(Backend& backend) const;  // whether that backend's ops take it

  // Direct access; `data` demands memory the host can read and the right element type.
  std::byte* raw() const { return storage_ ? storage_->data() + offset_ : nullptr; }
  template <class T>
  const T* data() const {
    check_host(dtype_of<T>());
    return reinterpret_cast<const T*>(raw());
  }
  // Only for whoever fills a fresh tensor, and for in-place optimiser steps.
  template <class T>
  T* mutable_data() {
    check_host(dtype_of<T>());
    return reinterpret_cast<T*>(raw());
  }
  // A copy in host memory, from any backend.
  template <class T>
  std::vector<T> to_vector() const {
    check(dtype_ == dtype_of<T>(), "a ", name_of(dtype_), " tensor read as ", name_of(dtype_of<T>()));
    std::vector<T> out(static_cast<size_t>(numel()));
    copy_to_host(out.data());
    return out;
  }
  double item() const;  // the value of a one-element f32 or f64 tensor

  Tensor to(DType dtype) const;       // converted copy (host memory); the same tensor where nothing changes
  Tensor to(Backend& backend) const;  // copy in another backend's memory, likewise
  Tensor on_host() const;             // copy in memory that the CPU reads, likewise

  // New values (new ids) on the same bytes. For the `reshape` op and for cutting a data set into batches.
  Tensor view(const Shape& shape) const;
  Tensor slice_batch(int64_t begin, int64_t end) const;  // rows [begin, end) of the first dimension
  // The same value without its bytes: what the tape keeps of a value that no gradient reads.
  Tensor dropped() const;

 private:
  void check_host(DType wanted) const;
  void copy_to_host(void* out) const;

  Shape shape_;
  DType dtype_ = DType::f32;
  std::shared_ptr<Storage> storage_;
  size_t offset_ = 0;
  uint64_t id_ = 0;
};

// How many values of a float tensor, on any backend, are not finite; 0 for whole numbers.
int64_t count_not_finite(const Tensor& t);

}  // namespace advf
