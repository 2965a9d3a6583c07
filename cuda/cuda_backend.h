// The devices "cuda" and "cuda-bf16" (the same, but plans compute in bf16) by name. Which file implements
// this is chosen at link time: the real backend, or unavailable.cpp, whose device exists only to say what to
// do.
#pragma once
#include <array>
#include <string>

namespace advf {

void register_cuda_backend();

// Of the machine's devices this process takes number `rank` modulo how many there are: for the ranks of one
// machine. Before the device is first used; it is device 0 where nobody says so.
void take_cuda_device(int rank);
// Of the device on which this process computes: no other one in the world has it. Throws Error where none can
// be used.
std::array<char, 16> cuda_device_uuid();

// Why the device cannot be used on this machine; empty where it can.
std::string cuda_unusable();

}  // namespace advf
