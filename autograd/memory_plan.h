// Where values live in one arena: a pure function from lifetimes to offsets. Steps are numbered in the order
// they run; a value lives from the step that writes it to the last step that reads it, both included.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace advf {

constexpr int64_t kArenaAlignment = 64;

struct Lifetime {
  int64_t bytes = 0;
  int first = 0, last = 0;  // steps; first may be -1 (there before step 0)
  int view_of = -1;         // earlier value whose bytes this one is, whatever the lifetimes
  std::vector<int>
      overwrite;  // earlier values whose bytes the writing step may overwrite, in order of choice
};

struct MemoryPlan {
  std::vector<int64_t> offset;  // one per value, a multiple of kArenaAlignment
  int64_t bytes = 0;            // of the arena
  int in_place = 0;             // values that took over the bytes of another
};

// Views share their source's bytes, which live until the last reader of either. A value overwrites the first
// of its candidates that has as many bytes and dies at this very step. What remains is placed largest first,
// each at the lowest offset that is free for its whole life.
MemoryPlan plan_memory(std::span<const Lifetime> values);

// The most bytes that are alive at one step, aligned: no plan of these values without overwriting is smaller.
int64_t most_bytes_alive(std::span<const Lifetime> values);

}  // namespace advf
