// What a file may ask for is decided on shapes, before anything is allocated.
#pragma once
#include <cstdint>
#include <span>
#include <utility>

#include "nn/onnx/model.h"
#include "tensor/op.h"

namespace advf::onnx {

// Hears every op of a pass over shapes: refuses what is too large before anything is allocated, counts MACs.
// Of each of so many images a pass may make a value of OnnxModel::kMaxValue elements, and max_total elements
// in all; beyond that, record() and add() throw Error with the shape.
class SizeGuard : public Recorder {
 public:
  SizeGuard(int64_t images, int64_t max_total) : images_(images), max_total_(max_total) {
    previous_ = set_recorder(this);
  }
  ~SizeGuard() override { set_recorder(previous_); }
  SizeGuard(const SizeGuard&) = delete;

  void record(const OpDef& op, const Attrs& attrs, std::span<const Tensor> in,
              std::span<const Tensor> out) override {
    for (const Tensor& t : out) add(t.shape());
    const int64_t macs = op.macs ? op.macs(call_of(op, attrs, in, out)) : 0;
    check(macs < INT64_MAX && !__builtin_add_overflow(macs_, macs, &macs_), op.name,
          ": too much work at shape ", out[0].shape());
  }
  // The same for a value that no op makes: one that is given.
  void add(const Shape& shape) {
    const int64_t n = shape.numel();
    check(n <= OnnxModel::kMaxValue * images_, "a value of shape ", shape, " is too large");
    total_ += n;
    check(total_ <= max_total_ * images_, "the values computed are too large in sum, at shape ", shape);
  }
  // Multiplications and additions since the last call.
  int64_t take_macs() { return std::exchange(macs_, 0); }

 private:
  Recorder* previous_;
  int64_t images_, max_total_, total_ = 0, macs_ = 0;
};

}  // namespace advf::onnx
