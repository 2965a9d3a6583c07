// What every convolution with packed weights shares: where the packed weights are, a work area for each lane,
// and one for all of them. Where the product takes pairs of bf16 (kernels.h), an image of half as many
// channels, each the words of two, takes the place of the source: what only moves its elements need not know.
#pragma once
#include <algorithm>
#include <vector>

#include "tensor/cpu/bind.h"
#include "tensor/cpu/conv_weights.h"
#include "tensor/cpu/gemm.h"

namespace advf::cpu {

class PackedConv : public BoundOp {
 public:
  size_t scratch_bytes() const final {
    Arena arena(nullptr);
    if (kept_.empty()) arena.take<float>(weight_floats_);
    arena.take<float>(shared_floats_);
    arena.take<float>(source_.words());
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
    View inputs[kMostInputs];
    if (float* words = arena.take<float>(source_.words()); source_.words() > 0) {
      source_.round(in[0].as<const float>(), words);
      std::copy(in.begin(), in.end(), inputs);
      inputs[0].data = words;
      in = {inputs, in.size()};
    }
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

  // In a constructor: the source is rounded before the product, where that takes pairs.
  void round_source(const BindArgs& args, const ConvWeights& weights) {
    if (!weights.pairs()) return;
    const Shape& x = args.call.in[0].shape;
    source_ = {&args.kernels, x[0] * (x[1] / weights.in), weights.in, x[2] * x[3]};
  }

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
  static constexpr size_t kMostInputs = 5;  // of a fused product

  // Images, each of one group.
  struct PairedSource {
    const KernelTable* kernels = nullptr;
    int64_t images = 0, channels = 0, plane = 0;

    int64_t words() const { return images * ((channels + 1) / 2) * plane; }
    void round(const float* x, float* to) const {
      const int64_t pairs = (channels + 1) / 2, planes = images * pairs;
      const Split tasks = Split::at_most(planes, std::max<int64_t>(1, kTaskWords / plane));
      parallel_for(tasks.parts, [&](int64_t task) {
        for (int64_t i = tasks.begin(task); i < tasks.begin(task + 1); ++i) {
          const int64_t c = i % pairs * 2;
          const float* first = x + (i / pairs * channels + c) * plane;
          kernels->round_pairs_of(to + i * plane, first, c + 1 < channels ? first + plane : nullptr, plane);
        }
      });
    }
    static constexpr int64_t kTaskWords = 16 * 1024;
  };

  virtual void pack(const float* weight, float* packed) const = 0;
  virtual void multiply(std::span<const View> in, std::span<const View> out, const float* weights,
                        float* shared, const Lanes& lanes) const = 0;

  int lanes_ = lane_count();
  int64_t weight_floats_ = 0, shared_floats_ = 0;
  size_t lane_bytes_ = 0;
  PairedSource source_;
  std::vector<float> kept_;
};

}  // namespace advf::cpu
