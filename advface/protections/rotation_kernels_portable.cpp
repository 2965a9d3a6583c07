// For any processor of the architecture.
#include "advface/protections/rotation_kernels.inc"

namespace advf {
const RotationKernels& rotation_kernels_portable() { return kKernels; }
}  // namespace advf
