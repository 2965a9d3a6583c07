// The network of W3 with random weights: Inception-ResNet-v1 as FaceNet has it (160x160 -> 512), for machines
// without the file. The sizes are those of the file; a check of the number of weights keeps them so.
#include <cmath>

#include "autograd/tape.h"
#include "nn/onnx/export.h"
#include "tensor/backend.h"
#include "tensor/ops.h"
#include "tensor/rng.h"
#include "tools/bench/bench_workloads.h"

namespace advf::tools {
namespace {

struct Pair {
  int y, x;
};

// Makes the weights as they are asked for, on the current backend.
class Layers {
 public:
  // Convolution without bias, batch norm, ReLU.
  Tensor conv(const Tensor& x, int64_t out, Pair kernel, int stride = 1, Pair pad = {0, 0}) {
    const Tensor y = conv2d(x, weight({out, x.dim(1), kernel.y, kernel.x}), {},
                            {.stride = {stride, stride}, .pad = {pad.y, pad.x, pad.y, pad.x}});
    return relu(norm(y));
  }
  Tensor norm(const Tensor& x) {
    const int64_t c = x.dim(1);
    weights_ += 2 * c;
    const MetaScope real(false);
    const Tensor one = Tensor::full({c}, 1), zero = Tensor::zeros({c});
    return under_trace([&] { return batch_norm_eval(x, one, zero, zero, one, 1e-3); });
  }
  // x + scale * (1x1 convolution with bias of the branches)
  Tensor residual(const Tensor& x, const std::vector<Tensor>& branches, double scale) {
    const Tensor w = weight({x.dim(1), channels(branches), 1, 1});
    weights_ += x.dim(1);
    return add(x, affine(conv2d(concat(branches, 1), w, zeros(x.dim(1)), {}), scale, 0));
  }
  Tensor linear_layer(const Tensor& x, int64_t out) { return linear(x, weight({out, x.dim(1)}), {}); }
  int64_t weights() const { return weights_; }

 private:
  template <class F>
  static Tensor under_trace(const F& f) {
    const MetaScope meta;
    return f();
  }
  static int64_t channels(const std::vector<Tensor>& parts) {
    int64_t sum = 0;
    for (const Tensor& t : parts) sum += t.dim(1);
    return sum;
  }
  static Tensor zeros(int64_t n) {
    const MetaScope real(false);
    return Tensor::zeros({n});
  }
  Tensor weight(const Shape& shape) {
    const MetaScope real(false);
    const Philox rng{1, uint64_t(weights_)};
    const double deviation = std::sqrt(2.0 / double(shape.numel(1, shape.rank())));
    std::vector<float> v(size_t(shape.numel()));
    for (size_t i = 0; i < v.size(); ++i) v[i] = float(deviation * rng.uniform(i, -1.7, 1.7));
    weights_ += shape.numel();
    return Tensor::from(v, shape);
  }
  int64_t weights_ = 0;
};

constexpr PoolAttrs kHalve{.kernel = {3, 3}, .stride = {2, 2}};

Tensor block35(Layers& n, const Tensor& x) {
  const Tensor a = n.conv(x, 32, {1, 1}), b = n.conv(n.conv(x, 32, {1, 1}), 32, {3, 3}, 1, {1, 1});
  const Tensor c = n.conv(n.conv(n.conv(x, 32, {1, 1}), 32, {3, 3}, 1, {1, 1}), 32, {3, 3}, 1, {1, 1});
  return relu(n.residual(x, {a, b, c}, 0.17));
}
Tensor block17(Layers& n, const Tensor& x) {
  const Tensor a = n.conv(x, 128, {1, 1});
  const Tensor b = n.conv(n.conv(n.conv(x, 128, {1, 1}), 128, {1, 7}, 1, {0, 3}), 128, {7, 1}, 1, {3, 0});
  return relu(n.residual(x, {a, b}, 0.1));
}
Tensor block8(Layers& n, const Tensor& x, double scale) {
  const Tensor a = n.conv(x, 192, {1, 1});
  const Tensor b = n.conv(n.conv(n.conv(x, 192, {1, 1}), 192, {1, 3}, 1, {0, 1}), 192, {3, 1}, 1, {1, 0});
  return n.residual(x, {a, b}, scale);
}
Tensor reduce_to_896(Layers& n, const Tensor& x) {
  const Tensor a = n.conv(x, 384, {3, 3}, 2);
  const Tensor b = n.conv(n.conv(n.conv(x, 192, {1, 1}), 192, {3, 3}, 1, {1, 1}), 256, {3, 3}, 2);
  return concat({a, b, max_pool2d(x, kHalve)}, 1);
}
Tensor reduce_to_1792(Layers& n, const Tensor& x) {
  const Tensor a = n.conv(n.conv(x, 256, {1, 1}), 384, {3, 3}, 2);
  const Tensor b = n.conv(n.conv(x, 256, {1, 1}), 256, {3, 3}, 2);
  const Tensor c = n.conv(n.conv(n.conv(x, 256, {1, 1}), 256, {3, 3}, 1, {1, 1}), 256, {3, 3}, 2);
  return concat({a, b, c, max_pool2d(x, kHalve)}, 1);
}

Tensor facenet(Layers& n, const Tensor& image) {
  Tensor x = n.conv(n.conv(n.conv(image, 32, {3, 3}, 2), 32, {3, 3}), 64, {3, 3}, 1, {1, 1});
  x = n.conv(n.conv(n.conv(max_pool2d(x, kHalve), 80, {1, 1}), 192, {3, 3}), 256, {3, 3}, 2);
  for (int i = 0; i < 5; ++i) x = block35(n, x);
  x = reduce_to_896(n, x);
  for (int i = 0; i < 10; ++i) x = block17(n, x);
  x = reduce_to_1792(n, x);
  for (int i = 0; i < 5; ++i) x = relu(block8(n, x, 0.2));
  x = block8(n, x, 1);
  return n.norm(n.linear_layer(reshape(global_avg_pool(x), {x.dim(0), x.dim(1)}), 512));
}

}  // namespace

std::string random_facenet_onnx() {
  constexpr int64_t kWeights = 23482624;  // of the published network, without its classifier
  Layers layers;
  Tape tape(Tape::Keep::everything);
  const Tensor x = Tensor::meta({1, 3, 160, 160});
  Tensor y;
  {
    const MetaScope meta;
    const TapeScope scope(tape);
    y = facenet(layers, x);
  }
  check(layers.weights() == kWeights, "FaceNet with ", layers.weights(), " weights instead of ", kWeights);
  return to_onnx("facenet", tape, x, "input", {{y, "embedding"}});
}

}  // namespace advf::tools
