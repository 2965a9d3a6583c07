// The devices "cuda" and "cuda-bf16" (the same, but plans compute in bf16) by name. Which file implements
// this is chosen at link time: the real backend, or unavailable.cpp, whose device exists only to say what to
// do.
#pragma once
#include <string>

namespace advf {

void register_cuda_backend();

// Why the device cannot be used on this machine; empty where it can.
std::string cuda_unusable();

}  // namespace advf
