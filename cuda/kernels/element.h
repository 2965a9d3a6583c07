// Element types of the kernels: f32, and bf16 as two bytes of its own (the upper half of an f32), which needs
// no header of the toolkit. 16-byte packs of either.
#pragma once
#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>

namespace advf::cuda {

struct bf16 {
  uint16_t bits;
};

__host__ __device__ inline float to_float(float x) { return x; }
__host__ __device__ inline float to_float(bf16 x) {
  const uint32_t wide = uint32_t(x.bits) << 16;
  float out;
  memcpy(&out, &wide, sizeof out);
  return out;
}
template <class T>
__host__ __device__ inline T from_float(float x);
template <>
__host__ __device__ inline float from_float<float>(float x) {
  return x;
}
// To the nearest, ties to even; a NaN stays one.
template <>
__host__ __device__ inline bf16 from_float<bf16>(float x) {
  uint32_t wide;
  memcpy(&wide, &x, sizeof wide);
  if ((wide & 0x7FFFFFFFu) > 0x7F800000u) return {uint16_t(wide >> 16 | 0x40u)};
  return {uint16_t((wide + 0x7FFFu + (wide >> 16 & 1u)) >> 16)};
}

template <class T>
struct Pack {
  T v[16 / sizeof(T)];
};
template <class T>
__device__ inline Pack<T> load_pack(const T* p) {
  const uint4 raw = *reinterpret_cast<const uint4*>(p);
  Pack<T> out;
  memcpy(&out, &raw, 16);
  return out;
}
template <class T>
__device__ inline void store_pack(T* p, const Pack<T>& pack) {
  uint4 raw;
  memcpy(&raw, &pack, 16);
  *reinterpret_cast<uint4*>(p) = raw;
}

}  // namespace advf::cuda
