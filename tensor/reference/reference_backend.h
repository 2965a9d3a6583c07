// Plain C++ on one thread, f32 and f64: it runs every op's reference kernel and defines what the op means.
#pragma once
#include "tensor/backend.h"

namespace advf {

Backend& reference_backend();

// The reference kernel of a call as a bound op, for backends on host memory that have no faster one.
std::unique_ptr<BoundOp> bind_reference(const OpCall& call);

}  // namespace advf
