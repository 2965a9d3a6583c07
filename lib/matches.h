// How probes are turned, and where the nearest records of them go.
#pragma once
#include <functional>
#include <vector>

#include "advface/store/nearest.h"
#include "lib/arrays.h"
#include "lib/call.h"

namespace advf::lib {

// Rows [begin, end) of n probes by turn(begin, end), some at a time, in host memory; asks in between whether
// to go on, and throws Interrupted.
Tensor turn_some_at_a_time(int64_t n, Control& control,
                           const std::function<Tensor(int64_t begin, int64_t end)>& turn);

// K of an array (probes, K) that is to be written; throws CallError for another shape.
int64_t places_of(const advface_array* rows, const char* what, int64_t probes);
// In order; -1 and -2 where there are fewer than K.
void give_neighbours(const std::vector<std::vector<Neighbour>>& found, int64_t most, int64_t* rows,
                     float* scores);

}  // namespace advf::lib
