// Convolutions, pooling, normalisation and products. Images are (N,C,H,W); one and three spatial dimensions
// are refused. Windows (kernels, strides, padding) are bounded here, so that no product of them overflows.
#include <algorithm>

#include "nn/onnx/import.h"
#include "tensor/ops.h"
#include "tensor/ops/op_util.h"

namespace advf::onnx {
namespace {

constexpr int64_t kMaxWindow = 4096;  // kernel, stride, dilation, padding

// The attributes that convolutions and pooling share.
struct Window {
  enum class Auto { notset, same_upper, same_lower, valid };
  std::vector<int64_t> kernel;  // empty: from the weight
  std::array<int, 2> stride{1, 1}, dilation{1, 1};
  std::array<int, 4> pad{};  // top, left, bottom, right: ONNX has the same order
  Auto mode = Auto::notset;

  // The padding for an input of h x w and a kernel of kh x kw: SAME gives ceil(size / stride) outputs.
  std::array<int, 4> padding(int64_t h, int64_t w, int64_t kh, int64_t kw) const {
    if (mode == Auto::notset) return pad;
    if (mode == Auto::valid) return {};
    const int64_t size[2] = {h, w}, kernel_size[2] = {kh, kw};
    std::array<int, 4> out{};
    for (size_t i = 0; i < 2; ++i) {
      const int64_t steps = (size[i] + stride[i] - 1) / stride[i];
      const int64_t total =
          std::max<int64_t>(0, (steps - 1) * stride[i] + (kernel_size[i] - 1) * dilation[i] + 1 - size[i]);
      const int64_t less = total / 2, more = total - less;
      out[i] = int(mode == Auto::same_upper ? less : more);
      out[i + 2] = int(mode == Auto::same_upper ? more : less);
    }
    return out;
  }
};

Window read_window(NodeReader& node) {
  Window w;
  const auto pair = [&](const char* name, int64_t low) {
    const auto v = node.integers(name, {1, 1}, low, kMaxWindow);
    if (v.size() != 2) {
      node.problem("attribute '", name, "' has ", v.size(), " numbers; only images (two) are supported");
      return std::array<int, 2>{1, 1};
    }
    return std::array<int, 2>{int(v[0]), int(v[1])};
  };
  if (node.has("kernel_shape")) {
    const auto kernel = pair("kernel_shape", 1);
    w.kernel = {kernel[0], kernel[1]};
  }
  w.stride = pair("strides", 1);
  w.dilation = pair("dilations", 1);
  const auto pads = node.integers("pads", {0, 0, 0, 0}, 0, kMaxWindow);
  if (pads.size() == 4) {
    std::copy(pads.begin(), pads.end(), w.pad.begin());
  } else {
    node.problem("attribute 'pads' has ", pads.size(), " numbers; only images (four) are supported");
  }
  const std::string mode = node.text("auto_pad", "NOTSET");
  if (mode == "SAME_UPPER") {
    w.mode = Window::Auto::same_upper;
  } else if (mode == "SAME_LOWER") {
    w.mode = Window::Auto::same_lower;
  } else if (mode == "VALID") {
    w.mode = Window::Auto::valid;
  } else if (mode != "NOTSET") {
    node.problem("auto_pad '", mode, "' is unknown");
  }
  return w;
}

void check_image(const Tensor& x) {
  check(x.shape().rank() == 4, "its input has shape ", x.shape(), " where an image (N,C,H,W) is needed");
}

void check_weight(const Tensor& x, const Tensor& weight, const Window& window) {
  check_image(x);
  check(weight.shape().rank() == 4, "its weight has shape ", weight.shape(),
        " where four dimensions are needed");
  check(window.kernel.empty() || (window.kernel[0] == weight.dim(2) && window.kernel[1] == weight.dim(3)),
        "kernel_shape does not fit the weight ", weight.shape());
  check(weight.dim(2) <= kMaxWindow && weight.dim(3) <= kMaxWindow, "a kernel of shape ", weight.shape(),
        " is too large");
}

Emit conv(NodeReader& node) {
  const Window window = read_window(node);
  const int groups = int(node.integer("group", 1, 1, 1 << 20));
  return [window, groups](const Inputs& in) {
    const Tensor &x = in.tensor(0), &weight = in.tensor(1);
    check_weight(x, weight, window);
    const ConvAttrs attrs{.stride = window.stride,
                          .pad = window.padding(x.dim(2), x.dim(3), weight.dim(2), weight.dim(3)),
                          .dilation = window.dilation,
                          .groups = groups};
    return one(conv2d(x, weight, in.optional(2), attrs));
  };
}

// Output size per axis: stride * (in - 1) + output_padding + (k - 1) * dilation + 1 - pads.
Emit conv_transpose(NodeReader& node) {
  const Window window = read_window(node);
  const int groups = int(node.integer("group", 1, 1, 1 << 20));
  const auto extra = node.integers("output_padding", {0, 0}, 0, kMaxWindow);
  node.require(extra.size() == 2, "output_padding must have two numbers");
  node.require(!node.has("output_shape"),
               "output_shape is not supported; state pads and output_padding instead");
  node.require(window.mode == Window::Auto::notset || window.mode == Window::Auto::valid,
               "auto_pad SAME is not supported for a transposed convolution; state pads instead");
  return [window, groups, extra](const Inputs& in) {
    const Tensor &x = in.tensor(0), &weight = in.tensor(1);
    check_weight(x, weight, window);
    ConvAttrs attrs{.stride = window.stride,
                    .pad = window.padding(0, 0, 0, 0),
                    .dilation = window.dilation,
                    .groups = groups};
    for (int i = 0; i < 2; ++i) {
      const size_t k = size_t(i);
      attrs.size[k] = attrs.stride[k] * (x.dim(2 + i) - 1) + extra[k] +
                      (weight.dim(2 + i) - 1) * attrs.dilation[k] + 1 - attrs.pad[k] - attrs.pad[k + 2];
      check(attrs.size[k] > 0, "its padding leaves no output for an input of ", x.shape());
    }
    return one(conv_transpose2d(x, weight, in.optional(2), attrs));
  };
}

template <Tensor (*pool)(const Tensor&, const PoolAttrs&)>
Emit pooling(NodeReader& node) {
  const Window window = read_window(node);
  node.require(!window.kernel.empty(), "kernel_shape is missing");
  node.require(window.dilation == std::array<int, 2>{1, 1}, "dilated pooling is not supported");
  node.integer("storage_order", 0);  // concerns the second output, which is refused
  const bool ceil_mode = node.flag("ceil_mode", false), count_pad = node.flag("count_include_pad", false);
  if (window.kernel.empty()) return {};
  return [=](const Inputs& in) {
    const Tensor& x = in.tensor(0);
    check_image(x);
    PoolAttrs attrs{.kernel = {int(window.kernel[0]), int(window.kernel[1])},
                    .stride = window.stride,
                    .pad = window.padding(x.dim(2), x.dim(3), window.kernel[0], window.kernel[1]),
                    .ceil_mode = ceil_mode,
                    .count_include_pad = count_pad};
    for (size_t i = 0; i < 4; ++i)
      check(attrs.pad[i] < attrs.kernel[i % 2], "padding of ", attrs.pad[i], " around a window of ",
            attrs.kernel[i % 2]);
    return one(pool(x, attrs));
  };
}

Emit global_average_pool(NodeReader&) {
  return [](const Inputs& in) {
    check_image(in.tensor(0));
    return one(global_avg_pool(in.tensor(0)));
  };
}

Emit batch_norm(NodeReader& node) {
  const double eps = node.real("epsilon", 1e-5);
  node.real("momentum", 0.9);
  node.require(eps >= 0, "epsilon is negative");
  node.require(node.integer("training_mode", 0) == 0, "training_mode must be 0");
  const bool spatial = node.flag("spatial", true);  // up to opset 8: statistics per channel, or per value
  return [eps, spatial](const Inputs& in) {
    check(spatial || in.tensor(0).shape().rank() == 2,
          "spatial = 0 is read for two dimensions, and its input has shape ", in.tensor(0).shape());
    return one(batch_norm_eval(in.tensor(0), in.tensor(1), in.tensor(2), in.tensor(3), in.tensor(4), eps));
  };
}

// y = alpha A' B' + beta C; C broadcasts to (M,N).
Emit gemm(NodeReader& node) {
  const double alpha = node.real("alpha", 1), beta = node.real("beta", 1);
  const MatmulAttrs attrs{.transpose_a = node.flag("transA", false),
                          .transpose_b = node.flag("transB", false)};
  return [=](const Inputs& in) {
    const Tensor &a = in.tensor(0), &b = in.tensor(1), c = in.optional(2);
    check(a.shape().rank() == 2 && b.shape().rank() == 2, "multiplies shapes ", a.shape(), " and ",
          b.shape());
    const int64_t columns = b.dim(attrs.transpose_b ? 0 : 1);
    if (alpha == 1 && beta == 1 && c.defined() && c.numel() == columns && c.dim(-1) == columns)
      return one(matmul(a, b, reshape(c, {columns}), attrs));
    Tensor y = matmul(a, b, {}, attrs);
    if (alpha != 1) y = affine(y, alpha, 0);
    if (c.defined() && beta != 0) {
      check(c.shape().rank() <= 2, "adds a tensor of shape ", c.shape());
      y = add(y, beta == 1 ? c : affine(c, beta, 0));
    }
    return one(y);
  };
}

// The last two dimensions are matrices, those before broadcast; a vector is a row on the left, a column on
// the right, and leaves no dimension behind.
Emit mat_mul(NodeReader&) {
  return [](const Inputs& in) {
    Tensor a = in.tensor(0), b = in.tensor(1);
    const bool row = a.shape().rank() == 1, column = b.shape().rank() == 1;
    check(a.shape().rank() >= 1 && b.shape().rank() >= 1, "multiplies shapes ", a.shape(), " and ",
          b.shape());
    if (row) a = reshape(a, {1, a.dim(0)});
    if (column) b = reshape(b, {b.dim(0), 1});
    const Shape &sa = a.shape(), &sb = b.shape();
    const int ra = sa.rank(), rb = sb.rank();
    const int64_t m = sa[-2], k = sa[-1], n = sb[-1];
    Shape stack = sa;  // of the product, without the matrices
    Tensor y;
    if (rb == 2) {
      y = matmul(reshape(a, {sa.numel(0, ra - 1), k}), b);
      stack = Shape(std::span(sa.begin(), size_t(ra - 2)));
    } else {
      stack = broadcast_shapes("MatMul", Shape(std::span(sa.begin(), size_t(ra - 2))),
                               Shape(std::span(sb.begin(), size_t(rb - 2))));
      const auto stacked = [&](const Tensor& t, int64_t rows, int64_t columns) {
        Shape full = stack;
        full.push_back(rows);
        full.push_back(columns);
        return reshape(t.shape() == full ? t : broadcast_to(t, full), {stack.numel(), rows, columns});
      };
      y = batch_matmul(stacked(a, m, k), stacked(b, sb[-2], n));
    }
    Shape out = stack;
    if (!row) out.push_back(m);
    if (!column) out.push_back(n);
    return one(reshape(y, out));
  };
}

}  // namespace

std::span<const OpRow> layer_rows() {
  static const OpRow rows[] = {
      weighted({"Conv", 2, 3, conv}),
      weighted({"ConvTranspose", 2, 3, conv_transpose}),
      sign_of_first({"MaxPool", 1, 1, pooling<max_pool2d>}),
      sign_of_first({"AveragePool", 1, 1, pooling<avg_pool2d>}),
      sign_of_first({"GlobalAveragePool", 1, 1, global_average_pool}),
      weighted({"BatchNormalization", 5, 5, batch_norm, 5}),  // the others are of training
      weighted({"Gemm", 2, 3, gemm}),
      weighted({"MatMul", 2, 2, mat_mul}),
  };
  return rows;
}

}  // namespace advf::onnx
