// The project's one thread pool. Work is split into a fixed partition that does not depend on the number of
// threads, so every result has the same bits whatever that number is.
#pragma once
#include <cstdint>

namespace advf {

// Threads used by parallel_for, the caller included. 0 = as many as the machine has. Not while work runs.
// They are made when work first needs them.
void set_num_threads(int n);
int num_threads();

// Calls body(i) for every i in [0, n), each exactly once, on any thread, and returns when all are done. The
// first exception is rethrown. Throws OutOfThreads where the system gives too few. Nested calls run in place.
// body must not care which thread runs it or in what order. The body is called where it lies: nothing is
// allocated.
using IndexFn = void (*)(const void* body, int64_t i);
void parallel_for(int64_t n, IndexFn call, const void* body);
template <class Body>
void parallel_for(int64_t n, const Body& body) {
  parallel_for(
      n, [](const void* b, int64_t i) { (*static_cast<const Body*>(b))(i); }, &body);
}

}  // namespace advf
