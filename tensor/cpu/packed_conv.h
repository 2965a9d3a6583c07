// What every convolution with packed weights shares: where the packed weights are, a work area for each lane,
// and one for all of them.
#pragma once
#include <vector>

#include "tensor/cpu/bind.h"
#include "tensor/cpu/gemm.h"

namespace advf::cpu {

class PackedConv : public BoundOp {
 public:
  size_t scratch_bytes() const final {
    Arena arena(nullptr);
    if (kept_.empty()) arena.take<float>(weight_floats_);
    arena.take<float>(shared_floats_);
    arena.take<std::byte>(int64_t(lane_bytes_) * lanes_);
    return arena.used();
  }

  void run(std::span<const View> in, std::span<const View> out, void* scratch) const final {
    Arena arena(scratch);
    const float* weights = kept_.data();
    if (kept_.empty()) {
      float* fresh = arena.take<float>(weight_floats_);
      pack(in[1].as<const float>(), fresh);
      weights = fresh;
    }
    float* shared = arena.take<float>(shared_floats_);
    multiply(in, out, weights, shared,
             {arena.take<std::byte>(int64_t(lane_bytes_) * lanes_), lane_bytes_, lanes_});
  }

 protected:
  // The work areas of the lanes.
  struct Lanes {
    std::byte* base;
    size_t bytes;
    int count;
    // body(tile, area): once for every tile, no two at a time with one area, `lane_bytes` long.
    template <class Body>
    void for_each(int64_t tiles, const Body& body) const {
      for_each_tile(count, tiles,
                    [&](int64_t tile, int64_t lane) { body(tile, Arena(base + lane * int64_t(bytes))); });
    }
  };

  // The last thing in a constructor: constant weights are packed here, once, others at each run.
  void finish(const BindArgs& args, int64_t weight_floats, size_t lane_bytes, int64_t shared_floats = 0) {
    weight_floats_ = weight_floats;
    lane_bytes_ = lane_bytes;
    shared_floats_ = shared_floats;
    if (const float* weight = args.constant(1)) {
      kept_.resize(size_t(weight_floats));
      pack(weight, kept_.data());
    }
  }

 private:
  virtual void pack(const float* weight, float* packed) const = 0;
  virtual void multiply(std::span<const View> in, std::span<const View> out, const float* weights,
                        float* shared, const Lanes& lanes) const = 0;

  int lanes_ = lane_count();
  int64_t weight_floats_ = 0, shared_floats_ = 0;
  size_t lane_bytes_ = 0;
  std::vector<float> kept_;
};

}  // namespace advf::cpu
