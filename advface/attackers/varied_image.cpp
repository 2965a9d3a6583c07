#include "advface/attackers/varied_image.h"

#include <algorithm>
#include <cmath>

#include "advface/protections/ascent/noise.h"
#include "tensor/backend.h"
#include "tensor/ops.h"

namespace advf {
namespace {

constexpr double kLeastBrightness = 0.02;  // of what is corrected, whose logit must be finite

// log(p / (1 - p)) of brightnesses in [0,1].
Tensor logit(const Tensor& image) {
  const Tensor p = clamp(image, kLeastBrightness, 1 - kLeastBrightness);
  return sub(log(p), log(affine(p, -1, 1)));
}

}  // namespace

VariedImage::VariedImage(int64_t size, int64_t grid, const Tensor& mean_face,
                         std::shared_ptr<const Decoder> decoder)
    : size_(size), grid_(std::min(grid, size)), decoder_(std::move(decoder)) {
  base_ = logit(reshape(mean_face.to(current_backend()), {1, 3, size, size}));
  if (!decoder_) return;
  const Shape& row = decoder_->feature();
  Shape one = with_rows(1, row);
  if (row.rank() == 3) one = Shape{1, row[0], 1, 1};
  mean_ = reshape(decoder_->statistics().feature_mean.to(current_backend()), one);
  // A channel that never changed can be varied all the same.
  deviation_ = clamp(reshape(decoder_->statistics().feature_std.to(current_backend()), one), 1e-6, 1e30);
}

std::vector<std::pair<std::string, Shape>> VariedImage::variables(int64_t n) const {
  std::vector<std::pair<std::string, Shape>> list;
  if (decoder_) list.emplace_back("latent", with_rows(n, decoder_->feature()));
  if (grid_ > 0) list.emplace_back("correction", Shape{n, 3, grid_, grid_});
  return list;
}

Tensor VariedImage::image(const std::vector<Tensor>& variables) const {
  size_t next = 0;
  Tensor base = base_;
  if (decoder_) {
    const Tensor feature = add(mul(variables[next++], deviation_), mean_);
    const Tensor made = decoder_->forward(into_domain(decoder_->info().domain, feature));
    if (grid_ == 0) return made;
    base = logit(made);
  }
  return sigmoid(add(resize2d(variables[next], {.size = {size_, size_}}), base));
}

std::vector<Tensor> VariedImage::at_features(const Tensor& features) const {
  std::vector<Tensor> at;
  for (const auto& [name, shape] : variables(features.dim(0))) at.push_back(Tensor::zeros(shape));
  at[0] = div(sub(features.to(current_backend()), mean_), deviation_);
  return at;
}

Tensor enlarging(int64_t out, int64_t in, double shift, bool mirrored, double zoom) {
  std::vector<float> w(size_t(out * in), 0.0f);
  for (int64_t i = 0; i < out; ++i) {
    double at = (double(i) + 0.5) * double(in) / double(out) - 0.5 + shift;
    at = (at - 0.5 * double(in - 1)) * zoom + 0.5 * double(in - 1);
    if (mirrored) at = double(in - 1) - at;
    at = std::clamp(at, 0.0, double(in - 1));
    const auto low = std::min(int64_t(at), std::max<int64_t>(in - 2, 0));
    const double part = at - double(low);
    w[size_t(i * in + low)] += float(1 - part);
    if (in > 1) w[size_t(i * in + low + 1)] += float(part);
  }
  return Tensor::from(w, {out, in});
}

Tensor seen_through(const Tensor& image, const Tensor& rows, const Tensor& columns) {
  const int64_t n = image.dim(0), s = image.dim(2), h = rows.dim(0), w = columns.dim(0);
  const MatmulAttrs by{.transpose_b = true};
  const Tensor wide = reshape(matmul(reshape(image, {n * 3 * s, s}), columns, {}, by), {n, 3, s, w});
  const Tensor tall = matmul(reshape(permute(wide, {0, 1, 3, 2}), {n * 3 * w, s}), rows, {}, by);
  return permute(reshape(tall, {n, 3, w, h}), {0, 1, 3, 2});
}

Tensor total_variation(const Tensor& image) {
  const int64_t s = image.dim(2);
  const auto along = [&](int axis) {
    const Tensor d = sub(slice(image, axis, 1, s), slice(image, axis, 0, s - 1));
    return mean(abs(d), {1, 2, 3}, false);
  };
  return add(along(2), along(3));
}

}  // namespace advf
