#include "tensor/tensor.h"

#include <cmath>

#include <algorithm>

#include <atomic>
#include <cstring>

#include "tensor/backend.h"

namespace advf {
namespace {
std::atomic<uint64_t> next_id{1};
}

size_t size_of(DType t) {
  switch (t) {
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::f64:
    case DType::i64:
      return 8;
    case DType::u8:
      return 1;
  }
  return 0;
}

const char* name_of(DType t) {
  switch (t) {
    case DType::f32:
      return "f32";
    case DType::f64:
      return "f64";
    case DType::i32:
      return "i32";
    case DType::i64:
      return "i64";
    case DType::u8:
      return "u8";
  }
  return "?";
}

Storage::Storage(Backend& backend, size_t bytes)
    : backend_(backend.memory()), data_(backend_.alloc(bytes)), bytes_(bytes) {}
Storage::Storage(Backend& backend, std::byte* borrowed, size_t bytes)
    : backend_(backend.memory()), data_(borrowed), bytes_(bytes), borrowed_(true) {}
Storage::~Storage() {
  if (!borrowed_) backend_.free(data_, bytes_);
}

Tensor Tensor::meta(const Shape& shape, DType dtype) {
  Tensor t;
  t.shape_ = shape;
  t.dtype_ = dtype;
  t.id_ = next_id++;
  return t;
}

Tensor Tensor::empty(const Shape& shape, DType dtype) {
  Tensor t = meta(shape, dtype);
  if (MetaScope::active()) return t;
  int64_t bytes = 0;
  check(!__builtin_mul_overflow(shape.numel(), int64_t(size_of(dtype)), &bytes), "the shape ", shape,
        " has too many bytes");
  t.storage_ = std::make_shared<Storage>(current_backend(), size_t(bytes));
  return t;
}

Tensor Tensor::full(const Shape& shape, double value, DType dtype) {
  Tensor t = empty(shape, dtype);
  if (!t.has_storage()) return t;
  const size_t n = size_t(t.numel());
  auto fill = [&]<class T>(T v) {
    if (t.backend().is_host()) {
      std::fill_n(reinterpret_cast<T*>(t.raw()), n, v);
    } else {
      const std::vector<T> host(n, v);
      t.backend().copy_in(t.raw(), host.data(), t.bytes());
    }
  };
  switch (dtype) {
    case DType::f32:
      fill(float(value));
      break;
    case DType::f64:
      fill(value);
      break;
    case DType::i32:
      fill(int32_t(value));
      break;
    case DType::i64:
      fill(int64_t(value));
      break;
    case DType::u8:
      fill(uint8_t(value));
      break;
  }
  return t;
}

Tensor Tensor::from_bytes(std::span<const std::byte> bytes, const Shape& shape, DType dtype) {
  Tensor t = empty(shape, dtype);
  check(bytes.size() == t.bytes(), "tensor of shape ", shape, " (", name_of(dtype), ") from ", bytes.size(),
        " bytes");
  if (t.has_storage() && !bytes.empty()) t.backend().copy_in(t.raw(), bytes.data(), bytes.size());
  return t;
}

Tensor Tensor::borrow(std::span<const std::byte> bytes, const Shape& shape, DType dtype) {
  if (!current_backend().is_host()) return from_bytes(bytes, shape, dtype);
  Tensor t = meta(shape, dtype);
  check(bytes.size() == t.bytes(), "tensor of shape ", shape, " (", name_of(dtype), ") from ", bytes.size(),
        " bytes");
  check(reinterpret_cast<uintptr_t>(bytes.data()) % size_of(dtype) == 0, "a tensor of type ", name_of(dtype),
        " at an address that is no multiple of ", size_of(dtype));
  t.storage_ =
      std::make_shared<Storage>(current_backend(), const_cast<std::byte*>(bytes.data()), bytes.size());
  return t;
}

Backend& Tensor::backend() const {
  check(storage_ != nullptr, "a tensor of shape ", shape_, " has no storage");
  return storage_->backend();
}

bool Tensor::is_on(Backend& backend) const { return &this->backend() == &backend.memory(); }

void Tensor::check_host(DType wanted) const {
  check(dtype_ == wanted, "a ", name_of(dtype_), " tensor of shape ", shape_, " used as ", name_of(wanted));
  check(storage_ != nullptr, "a tensor of shape ", shape_, " has no storage");
  check(storage_->backend().is_host(), "a tensor of the ", storage_->backend().name(),
        " backend read by the CPU");
}

void Tensor::copy_to_host(void* out) const {
  if (numel() > 0) backend().copy_out(out, raw(), bytes());
}

double Tensor::item() const {
  check(numel() == 1, "item() of a tensor of shape ", shape_);
  if (dtype_ == DType::f64) return to_vector<double>()[0];
  return double(to_vector<float>()[0]);
}

Tensor Tensor::to(DType dtype) const {
  if (dtype == dtype_) return *this;
  BackendScope scope(backend());
  Tensor out = empty(shape_, dtype);
  auto convert = [&]<class From, class To>(const From* from, To* to) {
    for (int64_t i = 0, n = numel(); i < n; ++i) to[i] = To(from[i]);
  };
  auto from = [&]<class From>(const From* p) {
    switch (dtype) {
      case DType::f32:
        convert(p, out.mutable_data<float>());
        break;
      case DType::f64:
        convert(p, out.mutable_data<double>());
        break;
      case DType::i32:
        convert(p, out.mutable_data<int32_t>());
        break;
      case DType::i64:
        convert(p, out.mutable_data<int64_t>());
        break;
      case DType::u8:
        convert(p, out.mutable_data<uint8_t>());
        break;
    }
  };
  switch (dtype_) {
    case DType::f32:
      from(data<float>());
      break;
    case DType::f64:
      from(data<double>());
      break;
    case DType::i32:
      from(data<int32_t>());
      break;
    case DType::i64:
      from(data<int64_t>());
      break;
    case DType::u8:
      from(data<uint8_t>());
      break;
  }
  return out;
}

Tensor Tensor::to(Backend& target) const {
  if (is_on(target)) return *this;
  BackendScope scope(target);
  Tensor out = empty(shape_, dtype_);
  if (numel() == 0) return out;
  if (backend().is_host()) {
    target.copy_in(out.raw(), raw(), bytes());
  } else {
    std::vector<std::byte> host(bytes());
    backend().copy_out(host.data(), raw(), bytes());
    target.copy_in(out.raw(), host.data(), bytes());
  }
  return out;
}

Tensor Tensor::on_host() const { return backend().is_host() ? *this : to(host_backend()); }

Tensor Tensor::view(const Shape& shape) const {
  check(shape.numel() == numel(), "a tensor of shape ", shape_, " cannot be viewed as ", shape);
  Tensor t = *this;
  t.shape_ = shape;
  t.id_ = next_id++;
  return t;
}

Tensor Tensor::slice_batch(int64_t begin, int64_t end) const {
  check(shape_.rank() > 0 && 0 <= begin && begin <= end && end <= shape_[0], "rows [", begin, ", ", end,
        ") of a tensor of shape ", shape_);
  Tensor t = *this;
  t.shape_.set(0, end - begin);
  t.offset_ += size_t(begin) * size_t(shape_.numel(1, shape_.rank())) * size_of(dtype_);
  t.id_ = next_id++;
  return t;
}

Tensor Tensor::dropped() const {
  Tensor t = *this;
  t.storage_.reset();
  t.offset_ = 0;
  return t;
}

int64_t count_not_finite(const Tensor& t) {
  const Tensor host = t.on_host();
  const auto count = [n = host.numel()](const auto* p) {
    return int64_t(std::count_if(p, p + n, [](auto v) { return !std::isfinite(v); }));
  };
  if (t.dtype() == DType::f32) return count(host.data<float>());
  return t.dtype() == DType::f64 ? count(host.data<double>()) : 0;
}

}  // namespace advf
