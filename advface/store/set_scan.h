// 1:N in a stored set: all its records beside a probe, streamed from the file. Memory is a block of rows for
// each thread, however many records there are.
#pragma once
#include <functional>
#include <span>
#include <vector>

#include "advface/store/nearest.h"
#include "advface/store/store.h"

namespace advf {

// The `most` records of the set with the largest cosines to each probe, the largest first; Neighbour::row is
// the record's number. probes: (M, dimension), as the set has them: they went through what the set asks of
// a probe. Every thread reads a part of the records, all as they are at one moment. The same bits at any
// number of threads.
std::vector<std::vector<Neighbour>> nearest_in_set(Store& store, const StoredSet& set, const Tensor& probes,
                                                   int64_t most);

// The same where every record has a space of its own: through(p, salts) gives probe p as it is to be compared
// with each of the records with these salts, (salts.size(), dimension).
using ProbeThrough = std::function<Tensor(int64_t probe, std::span<const int64_t> salts)>;
std::vector<std::vector<Neighbour>> nearest_of_each(Store& store, const StoredSet& set, int64_t probes,
                                                    const ProbeThrough& through, int64_t most,
                                                    const std::function<bool()>& stop = {});

}  // namespace advf
