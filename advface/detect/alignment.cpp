#include "advface/detect/alignment.h"

#include <cmath>
#include <complex>
#include <vector>

#include "tensor/check.h"

namespace advf {

// In the complex plane a similarity is z -> a z + b, and the best a is a plain quotient: in two dimensions
// Umeyama's singular values are not needed.
Similarity fit_similarity(std::span<const Point> from, std::span<const Point> to) {
  using Complex = std::complex<double>;
  check(from.size() == to.size() && from.size() >= 2, "a similarity of ", from.size(), " and ", to.size(),
        " points; two or more of each are needed");
  const auto at = [](const Point& p) { return Complex(p.x, p.y); };
  Complex mean_from, mean_to;
  for (size_t i = 0; i < from.size(); ++i) {
    mean_from += at(from[i]) / double(from.size());
    mean_to += at(to[i]) / double(to.size());
  }
  Complex product;
  double spread = 0, wanted_spread = 0;
  for (size_t i = 0; i < from.size(); ++i) {
    product += std::conj(at(from[i]) - mean_from) * (at(to[i]) - mean_to);
    spread += std::norm(at(from[i]) - mean_from);
    wanted_spread += std::norm(at(to[i]) - mean_to);
  }
  const Complex a = product / spread, b = mean_to - a * mean_from;
  // Points that coincide but for rounding have no direction.
  check(std::isfinite(std::abs(a)) && spread > 0 && std::norm(product) > 1e-12 * spread * wanted_spread,
        "the points of a face coincide, or have no direction");
  return {a.real(), a.imag(), b.real(), b.imag()};
}

Similarity align(const Face& face, const FaceTemplate& face_template, int size) {
  std::vector<Point> wanted = face_template.in_crop();
  wanted.resize(face.landmarks.size());
  for (Point& p : wanted) p = {p.x * size, p.y * size};
  return fit_similarity(wanted, face.landmarks);
}

}  // namespace advf
