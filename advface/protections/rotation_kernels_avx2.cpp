// For x86-64-v3: AVX2 and FMA.
#include <immintrin.h>

#include "advface/protections/rotation_kernels.inc"

namespace advf {
const RotationKernels& rotation_kernels_avx2() { return kKernels; }
}  // namespace advf
