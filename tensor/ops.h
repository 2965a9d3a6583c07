// The ops as functions. Each is one apply() of the op of the same name; composites say so. Shapes: images are
// (N,C,H,W), vectors (N,D). f32 or f64; all inputs of one call have one element type. Errors name op and
// shapes.
#pragma once
#include <optional>
#include <vector>

#include "tensor/op.h"

namespace advf {

// ---- element-wise arithmetic. Shapes broadcast as in NumPy: aligned at the last dimension, sizes equal
// or 1.
Tensor add(const Tensor& a, const Tensor& b);
Tensor sub(const Tensor& a, const Tensor& b);
Tensor mul(const Tensor& a, const Tensor& b);
Tensor div(const Tensor& a, const Tensor& b);
Tensor affine(const Tensor& x, double scale, double shift);  // scale * x + shift
Tensor power(const Tensor& x, double exponent);              // x^e; x > 0 unless e is a whole number
Tensor exp(const Tensor& x);
Tensor log(const Tensor& x);
Tensor erf(const Tensor& x);
Tensor abs(const Tensor& x);
Tensor sign(const Tensor& x);  // -1, 0, 1; no gradient
Tensor clamp(const Tensor& x, double low, double high);

// ---- activations
Tensor relu(const Tensor& x);
Tensor leaky_relu(const Tensor& x, double slope);
Tensor sigmoid(const Tensor& x);
Tensor tanh(const Tensor& x);
Tensor prelu(const Tensor& x, const Tensor& slope);  // slope (C) or (1); channel = dimension 1

// ---- shape
Tensor reshape(const Tensor& x, const Shape& shape);  // shares the bytes
Tensor concat(const std::vector<Tensor>& parts, int axis);
Tensor slice(const Tensor& x, const SliceAttrs& attrs);
Tensor slice(const Tensor& x, int axis, int64_t begin, int64_t end);
Tensor pad(const Tensor& x, const PadAttrs& attrs);
Tensor permute(const Tensor& x, std::vector<int> order);
Tensor broadcast_to(const Tensor& x, const Shape& shape);
// n times the same: (n, shape of one).
Tensor repeat(const Tensor& one, int64_t n);
// Sums over the axes (negative counts from the end). mean divides by the count: reduce_sum, affine.
Tensor reduce_sum(const Tensor& x, const std::vector<int>& axes, bool keep_dims = true);
Tensor mean(const Tensor& x, const std::vector<int>& axes, bool keep_dims = true);
Tensor sum_all(const Tensor& x);                     // scalar, shape []
Tensor mean_all(const Tensor& x);                    // scalar, shape []
Tensor sum_to(const Tensor& x, const Shape& shape);  // the adjoint of broadcast_to: reduce_sum, reshape

// ---- products
// op(a) op(b) + bias: a (M,K) or its transpose, b (K,N) or its transpose, bias (N) or undefined.
Tensor matmul(const Tensor& a, const Tensor& b, const Tensor& bias = {}, const MatmulAttrs& attrs = {});
// The same for stacks of matrices: a (B,M,K) or (B,K,M), b (B,K,N) or (B,N,K).
Tensor batch_matmul(const Tensor& a, const Tensor& b, const MatmulAttrs& attrs = {});
Tensor linear(const Tensor& x, const Tensor& weight,
              const Tensor& bias = {});  // x (N,I), weight (O,I), bias (O)
// x (N,C,H,W), weight (O, C/groups, kh, kw), bias (O) or undefined.
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvAttrs& attrs);
// The adjoint of conv2d in x. x (N,O,h,w), weight (O, C/groups, kh, kw), bias (C); attrs.size = output (H,W).
// This is also PyTorch's ConvTranspose2d, whose weight has the same layout (in, out/groups, kh, kw).
Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvAttrs& attrs);
// The adjoint of conv2d in its weight: x (N,C,H,W), g (N,O,h,w) -> (O, C/groups, kh, kw); attrs.size =
// (kh,kw).
Tensor conv2d_grad_weight(const Tensor& x, const Tensor& g, const ConvAttrs& attrs);

// ---- normalisation. Channel = dimension 1 of (N,C) or (N,C,H,W); gamma, beta, mean, var (C).
struct BatchNormOut {
  Tensor y, mean, var;  // var is the biased batch variance
};
BatchNormOut batch_norm_train(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps);
Tensor batch_norm_eval(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& mean,
                       const Tensor& var, double eps);
// Rows of (N,D): x / max(|x|_2, eps).
Tensor l2_normalise(const Tensor& x, double eps = 1e-12);
Tensor softmax(const Tensor& x);  // along the last dimension

// ---- pooling, resizing
Tensor max_pool2d(const Tensor& x, const PoolAttrs& attrs);
Tensor avg_pool2d(const Tensor& x, const PoolAttrs& attrs);
Tensor global_avg_pool(const Tensor& x);  // (N,C,H,W) -> (N,C,1,1): mean
Tensor resize2d(const Tensor& x, const ResizeAttrs& attrs);

// ---- classification. labels: i32 (N).
Tensor softmax_cross_entropy(const Tensor& logits, const Tensor& labels);  // mean over rows, shape []
// ArcFace (arXiv 1801.07698, eq. 3): scale * cos(theta + margin) at the label, scale * cos(theta) elsewhere.
// Where theta + margin > pi the target is cos(theta) - margin * sin(pi - margin), which keeps it monotonic.
Tensor arcface_margin(const Tensor& cosines, const Tensor& labels, double scale, double margin);

// ---- steps in place, never recorded.
// hyper is an f32/f64 vector, so that a schedule does not rebind: see the op files for its fields.
void sgd_step_(Tensor& param, const Tensor& grad, Tensor& momentum, const Tensor& hyper);
void adam_step_(Tensor& param, const Tensor& grad, Tensor& m, Tensor& v, const Tensor& hyper);
// delta + alpha * sign(grad), clamped to [-epsilon, epsilon] (L-inf ball). A zero gradient moves nothing.
Tensor pgd_step(const Tensor& delta, const Tensor& grad, double alpha, double epsilon);
// Momentum, step, projection, and the feature x that they lead to, in one op (tensor/ops/ascent_step.cpp says
// what the attributes mean). z, u, g (N,...); m likewise or undefined; scale (1,C,1,1) or undefined. m and x
// of the result are undefined where there is no momentum or no attrs.at_feature.
struct AscentStep {
  Tensor u, m, x;
};
AscentStep ascent_step(const Tensor& z, const Tensor& u, const Tensor& g, const Tensor& m,
                       const Tensor& scale, const AscentAttrs& attrs);
// Notes value (N) at place position (N) of trace (N,T), where there is such a place; position + 1.
struct TraceStep {
  Tensor trace, position;
};
TraceStep trace_step(const Tensor& trace, const Tensor& position, const Tensor& value);

}  // namespace advf
