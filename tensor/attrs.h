// The attributes of ops: small plain structs, compared field by field. Lengths are in pixels.
#pragma once
#include <array>
#include <cstdint>
#include <variant>

#include "tensor/activation.h"
#include "tensor/shape.h"

namespace advf {

// What a fused product does to its values before it stores them: + bias, + residual, then the activation.
struct Epilogue {
  Activation activation = Activation::none;
  double slope = 0;  // of leaky_relu and leaky_relu_grad
  bool operator==(const Epilogue&) const = default;
};

struct ConvAttrs {
  std::array<int, 2> stride{1, 1};  // y, x
  std::array<int, 4> pad{};         // top, left, bottom, right; zeros
  std::array<int, 2> dilation{1, 1};
  int groups = 1;
  // What the shapes alone cannot tell: the output's height and width (conv_transpose2d), the kernel's
  // (conv2d_grad_weight). Unused, and zero, for conv2d.
  std::array<int64_t, 2> size{};
  Epilogue epilogue{};  // of the fused ops alone
  bool operator==(const ConvAttrs&) const = default;
};

struct MatmulAttrs {
  bool transpose_a = false, transpose_b = false;
  Epilogue epilogue{};  // of the fused op alone
  bool operator==(const MatmulAttrs&) const = default;
};

struct PoolAttrs {
  std::array<int, 2> kernel{1, 1}, stride{1, 1};
  std::array<int, 4> pad{};  // top, left, bottom, right
  bool ceil_mode = false;
  bool count_include_pad = false;  // average pooling: divide by the kernel's size even at the border
  std::array<int64_t, 2> size{};   // the gradients: height and width of the pooled op's INPUT
  bool operator==(const PoolAttrs&) const = default;
};

enum class ResizeMode { nearest, bilinear };
// How an output pixel's centre maps to the source; ONNX names.
enum class ResizeCoordinates { half_pixel, align_corners, asymmetric };
struct ResizeAttrs {
  std::array<int64_t, 2> size{};  // height, width of the output (of the input, for the gradient)
  ResizeMode mode = ResizeMode::bilinear;
  ResizeCoordinates coordinates = ResizeCoordinates::half_pixel;
  bool operator==(const ResizeAttrs&) const = default;
};

struct AxesAttrs {
  uint32_t axes = 0;  // bit i = dimension i
  bool keep_dims = true;
  bool operator==(const AxesAttrs&) const = default;
};

struct ShapeAttrs {
  Shape shape;
  bool operator==(const ShapeAttrs&) const = default;
};

struct SliceAttrs {  // elements [begin, begin + size) of every dimension
  std::array<int64_t, Shape::kMaxRank> begin{};
  Shape size;
  bool operator==(const SliceAttrs&) const = default;
};

struct PadAttrs {  // constant padding of every dimension
  std::array<int64_t, Shape::kMaxRank> before{}, after{};
  double value = 0;
  bool operator==(const PadAttrs&) const = default;
};

struct PermuteAttrs {  // output dimension i is input dimension order[i]
  std::array<int, Shape::kMaxRank> order{0, 1, 2, 3, 4};
  bool operator==(const PermuteAttrs&) const = default;
};

struct AxisAttrs {
  int axis = 0;
  bool operator==(const AxisAttrs&) const = default;
};

struct ScalarAttrs {  // what a and b mean is said at the op
  double a = 0, b = 0;
  bool operator==(const ScalarAttrs&) const = default;
};

// Where the noise of ascent_step may lie; the op says what the numbers mean.
enum class NoiseBall { box, l2, cap };
struct AscentAttrs {
  double length = 0, radius = 0, decay = 0;
  NoiseBall ball = NoiseBall::box;
  bool at_feature = false, sphere = false, floor = false;
  bool operator==(const AscentAttrs&) const = default;
};

using Attrs =
    std::variant<std::monostate, ConvAttrs, MatmulAttrs, PoolAttrs, ResizeAttrs, AxesAttrs, ShapeAttrs,
                 SliceAttrs, PadAttrs, PermuteAttrs, AxisAttrs, ScalarAttrs, AscentAttrs>;

}  // namespace advf
