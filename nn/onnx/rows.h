// Whether what a graph makes of two images is what it makes of each alone.
#pragma once
#include <cstdint>
#include <optional>
#include <unordered_map>

#include "tensor/op.h"

namespace advf::onnx {

// How a value of two images relates to those of the first and of the second alone.
struct RowsApart {
  bool apart = false;  // the same numbers, up to rounding; or one constant for all three
  int axis = -1;       // the dimension that counts images; -1: the value does not depend on them
};

// Tensors of one type, on any backend. The images may be counted by any dimension, and each may have several
// of its steps (heads of an attention, tokens), those of the first image first. Numbers that are not finite
// are equal to themselves.
RowsApart compare_rows(const Tensor& both, const Tensor& first, const Tensor& second);

// Follows the images of a batch of two through the ops of a graph, by what each op does to the dimension that
// counts them: what the numbers of a trial hide (a branch that is closed, a third image) still shows here.
// Hears every op while it lives. Where an op or a reshape is not followed, nothing is known of what it makes,
// and nothing is claimed.
class RowTracker : public Recorder {
 public:
  explicit RowTracker(const Tensor& both) : previous_(set_recorder(this)) { axis_[both.id()] = 0; }
  ~RowTracker() override { set_recorder(previous_); }
  RowTracker(const RowTracker&) = delete;
  RowTracker& operator=(const RowTracker&) = delete;

  void record(const OpDef& op, const Attrs& attrs, std::span<const Tensor> in,
              std::span<const Tensor> out) override;
  // Whether images have met in what this value was made of.
  bool mixed(const Tensor& t) const;

 private:
  Recorder* previous_;
  std::unordered_map<uint64_t, int>
      axis_;  // of a value: its dimension that counts images; kMixed where they met
};

}  // namespace advf::onnx
