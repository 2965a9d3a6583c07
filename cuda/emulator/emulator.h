// What tests ask of the emulator, and how they plant a bad state: see cuda/emulator/runtime.cpp and
// block.cpp.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "cuda_runtime.h"

namespace advf::cuda::emulator {

// Runs one kernel now: every thread of every block. Threads are resumed in an order that `seed` decides.
// Returns an empty text, or what went wrong (a barrier that some threads never reach).
std::string run_grid(const char* name, dim3 grid, dim3 block, const std::function<void()>& body,
                     uint64_t seed);

// The order of threads, blocks and streams from here on; every launch derives its own from it.
void set_seed(uint64_t seed);

// How often each kernel was launched, by the name that launch() gave it.
const std::map<std::string, int64_t>& launches();
// Of the launches from here on, until the next label, the coverage file $ADVF_EMULATOR_COVERAGE gets one line
// "kernel <tab> label" per kernel. Written when the process ends.
void label_launches(const std::string& label);

// The machine that the runtime shows. Zero devices, a driver older than the runtime, little memory. A program
// under test has $ADVF_EMULATOR_DEVICES devices.
struct Machine {
  int devices = 1;
  int driver_version = 13000, runtime_version = 13000;
  size_t memory = size_t(16) << 30;
};
Machine& machine();
size_t memory_in_use();
int64_t allocations();  // device allocations so far
int64_t host_waits();   // synchronisations so far
int64_t host_copies();  // copies between host and device so far
int64_t graph_launches();

}  // namespace advf::cuda::emulator
