// One iteration of a plan as a CUDA graph: recorded once, launched as often as wanted, one after the other.
#pragma once
#include <functional>
#include <memory>

#include "tensor/backend.h"

namespace advf::cuda {

// `once` issues the iteration's work; it has run before, so that the libraries have loaded what they need.
std::unique_ptr<Replay> record_graph(const std::function<void()>& once);

}  // namespace advf::cuda
