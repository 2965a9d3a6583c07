// What a rotation spends its time on, compiled for each instruction set in a translation unit of its own, as
// tensor/cpu/kernels.h is: nothing with inline functions of external linkage may be included here.
#pragma once
#include <cstdint>

namespace advf {

inline constexpr int64_t kNormalsAtOnce = 32,
                         kBytesAtOnce = 96;  // a group of normals, of so many random bytes

struct RotationKernels {
  // out[32 g ...] = normals of bytes[96 g ...], little-endian words, of all groups g.
  void (*normals)(float* out, const uint8_t* bytes, int64_t groups);
  // The sums of x x and x y over n values, a multiple of 8.
  void (*products)(const float* x, const float* y, int64_t n, double& xx, double& xy);
  // y = a y + b x
  void (*combine)(float* y, const float* x, int64_t n, float a, float b);
  // y = sign * y, where the bit of y's place in `bits` is the sign, and then its Hadamard transform over
  // sqrt(n); back: the transform first. n: a power of two.
  void (*hadamard_round)(float* y, const uint8_t* bits, int64_t n, bool back);
};

const RotationKernels& rotation_kernels_portable();
const RotationKernels& rotation_kernels_avx2();  // where the processor has it

}  // namespace advf
