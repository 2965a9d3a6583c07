// How the devices of several ranks (nn/team.h) reach each other without the hosts' memory.
#pragma once
#include <cstddef>
#include <cstdint>

namespace advf {

// All pointers are to memory of the device that computes. Calls only enqueue, behind what the device was told
// to do before; all ranks make the same ones in the same order. Throw Error where the link is broken.
class DeviceLink {
 public:
  virtual ~DeviceLink() = default;
  // `all` becomes what each rank has given, `bytes` of each, in the order of ranks.
  virtual void gather(const void* mine, void* all, size_t bytes) = 0;
  // `out` has a block of `bytes` for each rank; block r of `in` becomes what rank r has for this one.
  virtual void exchange(const void* out, void* in, size_t bytes) = 0;
  // The sum of so many blocks of n values in their order (tensor/ops/sum_in_order.h), which may be written
  // over the first one.
  virtual void add(const float* blocks, int64_t count, int64_t n, float* sum) = 0;
};

}  // namespace advf
