#include "nn/loss.h"

#include <cmath>

#include "autograd/tape.h"
#include "nn/init.h"
#include "tensor/ops.h"

namespace advf {
namespace {

constexpr int kWindow = 11;
constexpr double kSigma = 1.5, kC1 = 0.01 * 0.01, kC2 = 0.03 * 0.03;

void check_images(const char* what, const Tensor& a, const Tensor& b) {
  check(a.shape() == b.shape() && a.shape().rank() == 4 && a.numel() > 0, what,
        " takes two batches of images (N,C,H,W) of one shape, not ", a.shape(), " and ", b.shape());
}

// The 1-D Gaussian, once per channel, as a depthwise kernel of the given height and width.
Tensor window(int64_t channels, int64_t height, int64_t width, DType dtype) {
  std::vector<double> w(kWindow);
  double sum = 0;
  for (int i = 0; i < kWindow; ++i) {
    const double d = i - kWindow / 2;
    sum += w[size_t(i)] = std::exp(-d * d / (2 * kSigma * kSigma));
  }
  std::vector<double> all;
  for (int64_t c = 0; c < channels; ++c)
    for (const double v : w) all.push_back(v / sum);
  const Shape shape{channels, 1, height, width};
  if (dtype == DType::f64) return Tensor::from(all, shape);
  return Tensor::from(std::vector<float>(all.begin(), all.end()), shape);
}

// Gaussian means of all windows inside the image: two 1-D passes, channel by channel.
Tensor blur(const Tensor& x) {
  const int64_t channels = x.dim(1);
  const ConvAttrs attrs{.groups = int(channels)};
  const Tensor rows = conv2d(x, window(channels, 1, kWindow, x.dtype()), {}, attrs);
  return conv2d(rows, window(channels, kWindow, 1, x.dtype()), {}, attrs);
}

}  // namespace

Tensor l1_loss(const Tensor& a, const Tensor& b) {
  check(a.shape() == b.shape(), "l1_loss of shapes ", a.shape(), " and ", b.shape());
  return mean_all(abs(sub(a, b)));
}

Tensor mse_loss(const Tensor& a, const Tensor& b) {
  check(a.shape() == b.shape(), "mse_loss of shapes ", a.shape(), " and ", b.shape());
  const Tensor d = sub(a, b);
  return mean_all(mul(d, d));
}

Tensor ssim(const Tensor& a, const Tensor& b) {
  check_images("ssim", a, b);
  check(a.dim(2) >= kWindow && a.dim(3) >= kWindow, "ssim needs images of at least ", kWindow,
        " pixels a side, not ", a.shape());
  const int64_t c = a.dim(1);
  // One pass over the channels of all five maps.
  const Tensor means = blur(concat({a, b, mul(a, a), mul(b, b), mul(a, b)}, 1));
  auto part = [&](int64_t k) { return slice(means, 1, k * c, (k + 1) * c); };
  const Tensor mu_a = part(0), mu_b = part(1);
  const Tensor mu_aa = mul(mu_a, mu_a), mu_bb = mul(mu_b, mu_b), mu_ab = mul(mu_a, mu_b);
  const Tensor var_a = sub(part(2), mu_aa), var_b = sub(part(3), mu_bb), cov = sub(part(4), mu_ab);
  const Tensor numerator = mul(affine(mu_ab, 2, kC1), affine(cov, 2, kC2));
  const Tensor denominator = mul(affine(add(mu_aa, mu_bb), 1, kC1), affine(add(var_a, var_b), 1, kC2));
  return mean(div(numerator, denominator), {1, 2, 3}, false);
}

Tensor ssim_loss(const Tensor& a, const Tensor& b) { return affine(mean_all(ssim(a, b)), -1, 1); }

std::vector<double> mse_per_image(const Tensor& a, const Tensor& b) {
  check_images("mse_per_image", a, b);
  const NoTapeScope no_tape;
  const Tensor d = sub(a, b);
  return mean(mul(d, d), {1, 2, 3}, false).on_host().to(DType::f64).to_vector<double>();
}

std::vector<double> psnr(const Tensor& a, const Tensor& b) {
  std::vector<double> out = mse_per_image(a, b);
  for (double& v : out)
    v = v <= std::pow(10, -kMaxPsnr / 10) ? kMaxPsnr : -10 * std::log10(v);  // NaN stays NaN
  return out;
}

ArcFaceHead::ArcFaceHead(int64_t classes, int64_t dim, double scale, double margin)
    : weight_(Tensor::zeros({classes, dim})), scale_(scale), margin_(margin) {
  check(classes > 1 && dim > 0 && scale > 0 && margin >= 0, "ArcFace with ", classes, " classes, dimension ",
        dim, ", scale ", scale, " and margin ", margin);
  register_parameter("weight", weight_);
}

Tensor ArcFaceHead::forward(const Tensor& embeddings) const {
  return matmul(l2_normalise(embeddings), l2_normalise(weight_), {}, {.transpose_b = true});
}

Tensor ArcFaceHead::loss(const Tensor& embeddings, const Tensor& labels) {
  return softmax_cross_entropy(arcface_margin(forward(embeddings), labels, scale_, margin_), labels);
}

void ArcFaceHead::initialise_own(const Initialiser& init) {
  weight_ = initial_weight(weight_.shape(), Init::xavier_normal, init.stream("weight")).to(weight_.dtype());
}

}  // namespace advf
