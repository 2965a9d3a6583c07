#include "advface/protections/rotation.h"

#include <algorithm>
#include <cmath>

#include "advface/core/feature_domain.h"
#include "advface/protections/rotation_kernels.h"
#include "tensor/check.h"

namespace advf {
namespace {

constexpr int64_t kRounds = 3, kLeastFast = 8;

const RotationKernels& kernels() {
  static const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  static const RotationKernels& chosen = avx2 ? rotation_kernels_avx2() : rotation_kernels_portable();
  return chosen;
}

int64_t groups_of(int64_t normals) { return (normals + kNormalsAtOnce - 1) / kNormalsAtOnce; }

// Of the reflections before H_k; of k = n: of all.
int64_t groups_before(int64_t n, int64_t k) {
  int64_t sum = 0;
  for (int64_t i = 0; i < k; ++i) sum += groups_of(n - i);
  return sum;
}

const uint8_t* plain(std::span<const std::byte> stream) {
  return reinterpret_cast<const uint8_t*>(stream.data());
}

// What is secret does not stay behind; the compiler is told that somebody looks.
void wipe(std::vector<float>& values) {
  std::fill(values.begin(), values.end(), 0.0f);
  asm volatile("" : : "r"(values.data()) : "memory");
}

// y: the m values that the reflection of x turns, and zeros behind them up to a multiple of 8; x: m normals.
void reflect(float* y, float* x, int64_t m) {
  const int64_t padded = (m + 7) / 8 * 8;
  std::fill(x + m, x + padded, 0.0f);
  double xx = 0, xy = 0;
  kernels().products(x, y, padded, xx, xy);
  const double length = std::sqrt(xx), sign = std::signbit(x[0]) ? -1 : 1;
  const double along = (xy + sign * length * double(y[0])) / (length * (length + std::abs(double(x[0]))));
  kernels().combine(y, x, padded, float(-sign), float(sign * along));
  y[0] = float(xy / length);
}

void turn_exact(std::span<const std::byte> stream, std::span<float> vector, bool back) {
  const int64_t n = int64_t(vector.size());
  std::vector<float> y(size_t(n + 8), 0.0f), x(size_t(groups_of(n) * kNormalsAtOnce));
  std::copy(vector.begin(), vector.end(), y.begin());
  int64_t at = back ? groups_before(n, n) : 0;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t k = back ? n - 1 - i : i, groups = groups_of(n - k);
    if (back) at -= groups;
    kernels().normals(x.data(), plain(stream) + at * kBytesAtOnce, groups);
    if (!back) at += groups;
    reflect(y.data() + k, x.data(), n - k);
  }
  std::copy(y.begin(), y.begin() + n, vector.begin());
  wipe(x);
  wipe(y);
}

void turn_fast(std::span<const std::byte> stream, std::span<float> vector, bool back) {
  const int64_t n = int64_t(vector.size());
  for (int64_t i = 0; i < kRounds; ++i) {
    const int64_t round = back ? kRounds - 1 - i : i;
    kernels().hadamard_round(vector.data(), plain(stream) + round * n / 8, n, back);
  }
}

}  // namespace

size_t rotation_stream_bytes(RotationKind kind, int64_t n) {
  return size_t(kind == RotationKind::fast ? kRounds * n / 8 : groups_before(n, n) * kBytesAtOnce);
}

void check_rotation(RotationKind kind, int64_t n, const std::string& what) {
  check(n >= 2, what, ": a vector of ", n, " value cannot be turned");
  check(kind == RotationKind::exact || (n >= kLeastFast && (n & (n - 1)) == 0), what, " have ", n,
        " values, but --rotation fast takes a power of two from ", kLeastFast, " on; leave it out");
}

void turn(RotationKind kind, std::span<const std::byte> stream, std::span<float> vector, bool back) {
  check(stream.size() == rotation_stream_bytes(kind, int64_t(vector.size())), "a stream of ", stream.size(),
        " bytes for a rotation of ", vector.size(), " values");
  const double before = norm(vector);
  kind == RotationKind::fast ? turn_fast(stream, vector, back) : turn_exact(stream, vector, back);
  const double after = norm(vector);
  if (after > 0)
    for (float& v : vector) v = float(double(v) * (before / after));
}

std::vector<float> normals_of(std::span<const std::byte> stream) {
  const int64_t groups = int64_t(stream.size()) / kBytesAtOnce;
  std::vector<float> out(size_t(groups * kNormalsAtOnce));
  kernels().normals(out.data(), plain(stream), groups);
  return out;
}

}  // namespace advf
