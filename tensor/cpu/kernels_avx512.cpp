// The kernels for x86-64-v4: AVX-512 F, BW, DQ, VL, 32 registers of 16 floats.
#include <immintrin.h>

#include "tensor/cpu/kernels.h"
#include "tensor/scalar_math.h"

namespace advf::cpu {
namespace {

#include "tensor/cpu/vector_avx512.inc"

// A step of the GEMM tile.
inline void multiply_add(Vec& sum, float a, Vec b) { sum += a * b; }

#include "tensor/cpu/kernel_body.inc"

}  // namespace

const KernelTable kernels_avx512 = make_table("avx512");

}  // namespace advf::cpu
