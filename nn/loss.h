// Losses and image measures. Images are (N,C,H,W) in [0,1]; a and b have one shape. All but psnr are
// composites of ops, so one code is both the training loss and the number in the report.
#pragma once
#include <vector>

#include "nn/module.h"

namespace advf {

Tensor l1_loss(const Tensor& a, const Tensor& b);   // mean |a - b|, shape []
Tensor mse_loss(const Tensor& a, const Tensor& b);  // mean (a - b)^2, shape []

// Structural similarity (Wang et al. 2004, eq. 13): 11x11 Gaussian window of sigma 1.5, population
// covariance, only windows that lie inside the image (H, W >= 11), K1 = 0.01, K2 = 0.03, range 1; per
// channel, then the mean over windows and channels. One value per image, shape (N).
Tensor ssim(const Tensor& a, const Tensor& b);
Tensor ssim_loss(const Tensor& a, const Tensor& b);  // 1 - mean ssim, shape []

// Mean squared error and peak signal-to-noise ratio in dB (range 1) of each image. Identical images have
// kMaxPsnr.
inline constexpr double kMaxPsnr = 100;
std::vector<double> mse_per_image(const Tensor& a, const Tensor& b);
std::vector<double> psnr(const Tensor& a, const Tensor& b);

// The classifier of ArcFace (arXiv 1801.07698): the cosines of embeddings to one centre per class.
// weight (classes, dim); its rows are normalised on use.
class ArcFaceHead : public Module {
 public:
  ArcFaceHead(int64_t classes, int64_t dim, double scale = 64, double margin = 0.5);
  Tensor forward(const Tensor& embeddings) const override;      // (N, dim) -> cosines (N, classes)
  Tensor loss(const Tensor& embeddings, const Tensor& labels);  // labels: i32 (N); shape []

 private:
  void initialise_own(const Initialiser& init) override;
  Tensor weight_;
  double scale_, margin_;
};

}  // namespace advf
