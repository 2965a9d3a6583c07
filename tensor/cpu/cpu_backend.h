// The fast CPU backend: threads and vector kernels. Ops without a kernel of their own run the reference's.
#pragma once
#include <vector>

#include "tensor/backend.h"

namespace advf {

Backend& cpu_backend();
// The same, in the same memory, but products of plans with a constant operand round both to bf16 and sum in
// f32. Throws where the machine lacks AVX512_BF16.
Backend& cpu_bf16_backend();

// The ops that have a fast kernel here, for the inspect tool; all others run the reference.
std::vector<const OpDef*> cpu_fast_ops();

}  // namespace advf
