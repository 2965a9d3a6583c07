// The fast CPU backend: threads and vector kernels. Ops without a kernel of their own run the reference's.
#pragma once
#include <vector>

#include "tensor/backend.h"

namespace advf {

Backend& cpu_backend();

// The ops that have a fast kernel here, for the inspect tool; all others run the reference.
std::vector<const OpDef*> cpu_fast_ops();

}  // namespace advf
