#include "tensor/io/resample.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace advf {
namespace {

// One output position is the sum over k of weights[k] * source[first + k].
struct Taps {
  int first = 0;
  std::vector<float> weights;
};

double keys_cubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return 0;
}

// Weights of the source pixels [lowest, highest], which may lie outside the picture: there they go to the
// border.
template <class WeightOf>
Taps collect(int lowest, int highest, int size, WeightOf weight_of) {
  Taps taps;
  taps.first = std::clamp(lowest, 0, size - 1);
  std::vector<double> weights(size_t(std::clamp(highest, 0, size - 1) - taps.first) + 1);
  for (int i = lowest; i <= highest; ++i)
    weights[size_t(std::clamp(i, 0, size - 1) - taps.first)] += weight_of(i);
  taps.weights.assign(weights.begin(), weights.end());
  return taps;
}

// Output positions along one axis: `out` of them spread over [begin, end) of `size` source pixels.
std::vector<Taps> axis_taps(double begin, double end, int size, int out) {
  std::vector<Taps> all;
  all.reserve(size_t(out));
  const double step = (end - begin) / out;
  for (int o = 0; o < out; ++o) {
    if (step <= 1) {
      // Beyond the clamped range every tap is the border pixel anyway.
      const double centre = std::clamp(begin + (o + 0.5) * step - 0.5, -3.0, size + 2.0);
      const int base = int(std::floor(centre));
      all.push_back(collect(base - 1, base + 2, size, [&](int i) { return keys_cubic(centre - i); }));
    } else {
      const double from = begin + o * step, to = begin + (o + 1) * step;
      // The border pixels stand for all that lies beyond them.
      const int lowest = int(std::floor(std::clamp(from, 0.0, size - 1.0)));
      const int highest = std::max(lowest, int(std::ceil(std::clamp(to, 1.0, double(size)))) - 1);
      all.push_back(collect(lowest, highest, size, [&](int i) {
        const double low = i == lowest ? from : i, high = i == highest ? to : i + 1.0;
        return (high - low) / step;
      }));
    }
  }
  return all;
}

}  // namespace

void crop_resize_into(const Image& image, const CropBox& box, int out_height, int out_width, float* out) {
  check(image.width > 0 && image.height > 0, "an empty picture cannot be cropped");
  check(out_height > 0 && out_width > 0, "a crop to ", out_height, " x ", out_width, " pixels");
  const double width = double(box.x1) - box.x0, height = double(box.y1) - box.y0;
  check(std::isfinite(width) && std::isfinite(height) && width > 0 && height > 0, "a crop box from (", box.x0,
        ", ", box.y0, ") to (", box.x1, ", ", box.y1, ") is empty");
  const auto across = axis_taps(box.x0, box.x1, image.width, out_width);
  const auto down = axis_taps(box.y0, box.y1, image.height, out_height);

  // First each source row that is needed, squeezed to the output's width; then columns. Planes of one
  // channel.
  int top = image.height, bottom = 0;
  for (const Taps& t : down) {
    top = std::min(top, t.first);
    bottom = std::max(bottom, t.first + int(t.weights.size()));
  }
  const size_t plane = size_t(out_height) * size_t(out_width);
  std::vector<float> rows(size_t(bottom - top) * size_t(out_width));
  for (int c = 0; c < image.channels; ++c) {
    for (int y = top; y < bottom; ++y) {
      const uint8_t* source = image.row(y) + c;
      float* row = &rows[size_t(y - top) * size_t(out_width)];
      for (int x = 0; x < out_width; ++x) {
        const Taps& t = across[size_t(x)];
        float sum = 0;
        for (size_t k = 0; k < t.weights.size(); ++k)
          sum += t.weights[k] * float(source[(size_t(t.first) + k) * size_t(image.channels)]);
        row[x] = sum;
      }
    }
    float* target = out + size_t(c) * plane;
    for (int y = 0; y < out_height; ++y) {
      const Taps& t = down[size_t(y)];
      float* row = target + size_t(y) * size_t(out_width);
      std::fill_n(row, out_width, 0.0f);
      for (size_t k = 0; k < t.weights.size(); ++k) {
        const float* source = &rows[(size_t(t.first - top) + k) * size_t(out_width)];
        for (int x = 0; x < out_width; ++x) row[x] += t.weights[k] * source[x];
      }
      for (int x = 0; x < out_width; ++x) row[x] = std::clamp(row[x] / 255.0f, 0.0f, 1.0f);
    }
  }
  if (image.channels == 1)
    for (size_t c = 1; c < 3; ++c) std::copy_n(out, plane, out + c * plane);
}

Tensor crop_resize(const Image& image, const CropBox& box, int out_height, int out_width) {
  check(out_height > 0 && out_width > 0, "a crop to ", out_height, " x ", out_width, " pixels");
  const Shape shape{3, out_height, out_width};
  std::vector<float> values(size_t(shape.numel()));
  crop_resize_into(image, box, out_height, out_width, values.data());
  return Tensor::from(values, shape);
}

Image to_image(const Tensor& tensor) {
  check(tensor.shape().rank() == 3 && tensor.dim(0) == 3 && tensor.dtype() == DType::f32,
        "a picture is made of a f32 tensor of shape [3,H,W], not of ", tensor.shape());
  check(tensor.dim(1) > 0 && tensor.dim(2) > 0 && std::max(tensor.dim(1), tensor.dim(2)) <= 65535,
        "a picture of shape ", tensor.shape());
  const std::vector<float> values = tensor.to_vector<float>();
  Image image(int(tensor.dim(2)), int(tensor.dim(1)), 3);
  const size_t plane = size_t(image.width) * size_t(image.height);
  for (size_t i = 0; i < 3 * plane; ++i) {
    const float v = values[i % 3 * plane + i / 3];
    image.pixels[i] = v > 0 ? uint8_t(std::lround(std::min(v, 1.0f) * 255.0f)) : uint8_t(0);  // NaN is black
  }
  return image;
}

}  // namespace advf
