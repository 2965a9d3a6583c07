// Where the nearest records of probes go.
#pragma once
#include <vector>

#include "advface/store/nearest.h"
#include "lib/arrays.h"

namespace advf::lib {

// K of an array (probes, K) that is to be written; throws CallError for another shape.
int64_t places_of(const advface_array* rows, const char* what, int64_t probes);
// In order; -1 and -2 where there are fewer than K.
void give_neighbours(const std::vector<std::vector<Neighbour>>& found, int64_t most, int64_t* rows,
                     float* scores);

}  // namespace advf::lib
