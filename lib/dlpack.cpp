// DLPack, as far as an array in memory of the CPU needs it: the layout of its structs, versions 0 and 1.
#include <cstdint>

#include "lib/call.h"

namespace {

enum DeviceType : int32_t { kCpu = 1, kCudaHost = 3 };
enum TypeCode : uint8_t { kInt = 0, kUInt = 1, kFloat = 2 };

struct Device {
  int32_t type, id;
};
struct DataType {
  uint8_t code, bits;
  uint16_t lanes;
};
struct DLTensor {
  void* data;
  Device device;
  int32_t ndim;
  DataType dtype;
  int64_t* shape;
  int64_t* strides;  // in elements; null: C order
  uint64_t byte_offset;
};
struct DLManagedTensor {
  DLTensor tensor;
  void* manager;
  void (*deleter)(DLManagedTensor*);
};
struct DLManagedTensorVersioned {
  uint32_t major, minor;
  void* manager;
  void (*deleter)(DLManagedTensorVersioned*);
  uint64_t flags;
  DLTensor tensor;
};
constexpr uint64_t kReadOnly = 1;  // of the flags

int32_t type_of(const DataType& t) {
  if (t.lanes != 1) return 0;
  if (t.code == kFloat)
    return t.bits == 32 ? ADVFACE_F32 : t.bits == 64 ? ADVFACE_F64 : t.bits == 16 ? ADVFACE_F16 : 0;
  if (t.code == kUInt) return t.bits == 8 ? ADVFACE_U8 : 0;
  return t.code == kInt && t.bits == 64 ? ADVFACE_I64 : 0;
}

}  // namespace

namespace advf::lib {
namespace {

using Wide = __int128;  // no sum of what a tensor says runs over

advface_array array_of(const DLTensor& t) {
  check_argument(t.device.type == kCpu || t.device.type == kCudaHost, "a DLPack tensor on a device of type ",
                 t.device.type, "; bring it to the CPU first");
  const int32_t type = type_of(t.dtype);
  check_argument(type != 0, "a DLPack tensor of type code ", int(t.dtype.code), " with ", int(t.dtype.bits),
                 " bits and ", t.dtype.lanes, " lanes; f32, f64, f16, u8 and i64 can be used");
  check_argument(t.ndim >= 1 && t.ndim <= ADVFACE_MAX_RANK && t.shape, "a DLPack tensor of rank ", t.ndim,
                 "; 1 to ", ADVFACE_MAX_RANK, " are possible");
  // It does not say how much memory it has: as much as its elements reach over.
  advface_array a = advface_array_of(t.data, 0, type, t.ndim, t.shape);
  const int64_t size = t.dtype.bits / 8;
  int64_t low = 0, high = 0;
  for (int d = 0; d < t.ndim; ++d) {
    check_argument(t.shape[d] >= 0, "a DLPack tensor with a dimension of ", t.shape[d]);
    int64_t reach = 0;
    check_argument(!t.strides || !__builtin_mul_overflow(t.strides[d], size, &a.strides[d]),
                   "a DLPack tensor with a stride of ", t.strides ? t.strides[d] : 0);
    check_argument(t.shape[d] == 0 || !__builtin_mul_overflow(t.shape[d] - 1, a.strides[d], &reach),
                   "a DLPack tensor that reaches further than memory does");
    check_argument(!__builtin_add_overflow(reach < 0 ? low : high, reach, reach < 0 ? &low : &high),
                   "a DLPack tensor that reaches further than memory does");
  }
  if (!t.data) {  // told where it is used, unless it is empty
    a.data = nullptr;
    return a;
  }
  const Wide first = Wide(reinterpret_cast<uintptr_t>(t.data)) + Wide(t.byte_offset), begin = first + low;
  check_argument(begin >= 0 && first + high + size <= Wide(UINTPTR_MAX),
                 "a DLPack tensor whose byte_offset of ", t.byte_offset, " leads out of memory");
  a.data = reinterpret_cast<void*>(uintptr_t(begin));
  a.offset = uint64_t(-Wide(low));
  a.bytes = uint64_t(high) - uint64_t(low) + uint64_t(size);
  return a;
}

}  // namespace
}  // namespace advf::lib

advface_status advface_array_from_dlpack(const void* managed, int32_t versioned, advface_array* array,
                                         advface_error** error) {
  using namespace advf::lib;
  return guarded(error, [&] {
    check_argument(managed && array, managed ? "array is NULL" : "the DLPack tensor is NULL");
    if (!versioned) {
      *array = array_of(static_cast<const DLManagedTensor*>(managed)->tensor);
      return;
    }
    const auto& tensor = *static_cast<const DLManagedTensorVersioned*>(managed);
    check_argument(tensor.major == 1, "a DLPack tensor of version ", tensor.major, ".", tensor.minor,
                   "; versions 0 and 1 can be read");
    *array = array_of(tensor.tensor);
    array->read_only = (tensor.flags & kReadOnly) != 0;
  });
}
