#include "advface/protections/random_noise.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <vector>

#include "advface/keys/key.h"
#include "tensor/backend.h"
#include "tensor/check.h"
#include "tensor/rng.h"

namespace advf {

uint64_t drawn_seed() {
  uint64_t seed = 0;
  check(::getrandom(&seed, sizeof seed, 0) == ssize_t(sizeof seed),
        "the system gave no random number: ", std::strerror(errno));
  return seed;
}

uint64_t secret_seed(const std::string& key_file, std::string_view purpose) {
  if (key_file.empty()) return drawn_seed();
  SecretBytes derived(Key::kBytes);
  Key::read(key_file).derive(purpose, Salt{}, derived.bytes());
  uint64_t seed = 0;
  for (size_t i = 0; i < sizeof seed; ++i) seed |= uint64_t(derived.data()[i]) << (8 * i);
  return seed;
}

void move_at_random(std::span<const float> feature, bool on_sphere, double cosine, double distance,
                    uint64_t seed, uint64_t stream, std::span<float> out) {
  const Philox rng{seed, stream};
  std::vector<double> direction(feature.size());
  double squares = 0, along = 0, length = 0;
  for (size_t k = 0; k < feature.size(); ++k) {
    const double a = double(feature[k]);
    direction[k] = rng.normal(uint64_t(k));
    squares += a * a;
    along += direction[k] * a;
  }
  // On the sphere only the part across the feature turns it.
  for (size_t k = 0; k < feature.size(); ++k) {
    if (on_sphere) direction[k] -= along / squares * double(feature[k]);
    length += direction[k] * direction[k];
  }
  length = std::sqrt(length);
  const double sine = std::sqrt(std::max(0.0, 1 - cosine * cosine));
  for (size_t k = 0; k < feature.size(); ++k) {
    const double unit = direction[k] / length, a = double(feature[k]);
    out[k] = float(on_sphere ? cosine * a + sine * std::sqrt(squares) * unit : a + distance * unit);
  }
}

Tensor equal_norm_noise(const Tensor& z, const Tensor& protected_features, bool on_sphere, uint64_t seed,
                        int64_t first_row) {
  check(z.shape() == protected_features.shape(), "noise for features of shapes ", z.shape(), " and ",
        protected_features.shape());
  const size_t n = size_t(z.dim(0)), d = size_t(z.shape().numel(1, z.shape().rank()));
  std::vector<float> out(n * d);
  const Tensor host_z = z.on_host(), host_protected = protected_features.on_host();
  for (size_t i = 0; i < n; ++i) {
    const std::span<const float> p{host_z.data<float>() + i * d, d},
        q{host_protected.data<float>() + i * d, d};
    double zz = 0, zq = 0, qq = 0, distance = 0;
    for (size_t k = 0; k < d; ++k) {
      const double a = double(p[k]), b = double(q[k]);
      zz += a * a;
      zq += a * b;
      qq += b * b;
      distance += (b - a) * (b - a);
    }
    move_at_random(p, on_sphere, std::min(1.0, zq / std::sqrt(zz * qq)), std::sqrt(distance), seed,
                   uint64_t(first_row + int64_t(i)) | (uint64_t(1) << 63), std::span(out).subspan(i * d, d));
  }
  const BackendScope there(z.backend());
  return Tensor::from(out, z.shape());
}

}  // namespace advf
