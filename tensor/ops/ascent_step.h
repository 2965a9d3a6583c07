// One record's step of ascent (ascent_step), written once for the reference kernel, where one thread has the
// whole row, and for the CUDA kernel, where a block shares it.
#pragma once
#include <cmath>
#include <cstdint>

#include "tensor/attrs.h"
#include "tensor/scalar_math.h"

namespace advf::ascent {

constexpr double kTiny = 1e-30;       // keeps quotients finite where everything is zero
constexpr double kLeastNorm = 1e-12;  // of a feature, as l2_normalise has it

// Pointers to one record. Outputs may be inputs of the same length, but for z and scale.
template <class T>
struct Row {
  const T *z, *u, *g, *m;  // m: null without momentum
  const T* scale;          // per channel of `inner` elements; null: 1
  int64_t inner;
  T *next_u, *next_m, *x;  // next_m and x may be null
};

// The caller has elements first, first + stride, ... of `d`; sum(v) adds v over all who share the row.
// Elements are only read and written by who has them.
ADVF_EXEC_CHECK_OFF
template <class T, class Sum>
ADVF_HD void step(const AscentAttrs& a, const Row<T>& r, int64_t d, int64_t first, int64_t stride,
                  const Sum& sum) {
  const auto sum_of = [&](const auto& value) {
    double s = 0;
    for (int64_t i = first; i < d; i += stride) s += value(i);
    return sum(s);
  };
  const auto larger = [](double v, double w) { return v > w ? v : w; };
  const auto unit = [&](int64_t i) { return r.scale ? r.scale[i / r.inner] : T(1); };
  const auto moved = [&](const T* noise, int64_t i) { return r.z[i] + unit(i) * noise[i]; };

  // The gradient in u, from that in the feature where it is given there: through the normalisation, the
  // scale.
  double norm = 1, along = 0;
  if (a.at_feature && a.sphere) {
    norm = std::sqrt(sum_of([&](int64_t i) { return double(moved(r.u, i)) * double(moved(r.u, i)); }));
    along = norm > kLeastNorm
                ? sum_of([&](int64_t i) { return double(moved(r.u, i)) * double(r.g[i]); }) / (norm * norm)
                : 0;
    norm = larger(norm, kLeastNorm);
  }
  const auto gradient = [&](int64_t i) {
    if (!a.at_feature) return r.g[i];
    if (!a.sphere) return unit(i) * r.g[i];
    return T(double(unit(i)) * (double(r.g[i]) - double(moved(r.u, i)) * along) / norm);
  };

  if (r.m) {
    const double size = sum_of([&](int64_t i) { return std::abs(double(gradient(i))); }) + kTiny;
    for (int64_t i = first; i < d; i += stride)
      r.next_m[i] = T(a.decay * double(r.m[i]) + double(gradient(i)) / size);
  }
  const auto direction = [&](int64_t i) { return r.m ? r.next_m[i] : gradient(i); };

  T* u = r.next_u;
  if (a.ball == NoiseBall::box) {
    for (int64_t i = first; i < d; i += stride)
      u[i] = scalar::PgdStep{a.length, a.radius}(r.u[i], direction(i));
  } else {
    const double size = larger(
        std::sqrt(sum_of([&](int64_t i) { return double(direction(i)) * double(direction(i)); })), kTiny);
    for (int64_t i = first; i < d; i += stride)
      u[i] = T(double(r.u[i]) + a.length * (double(direction(i)) / size));
  }
  if (a.ball == NoiseBall::l2) {
    const double limit = larger(a.radius, kTiny);
    const double size = std::sqrt(sum_of([&](int64_t i) { return double(u[i]) * double(u[i]); }));
    for (int64_t i = first; i < d; i += stride) u[i] = T(double(u[i]) * (limit / larger(limit, size)));
  } else if (a.ball == NoiseBall::cap) {
    // advface/protections/ascent/noise.cpp has the derivation: q on the sphere, k = 1 - cos of its
    // angle, the unit vector across z.
    const double size = larger(std::sqrt(sum_of([&](int64_t i) {
                                 const double v = double(r.z[i]) + double(u[i]);
                                 return v * v;
                               })),
                               kLeastNorm);
    const auto away = [&](int64_t i) { return (double(r.z[i]) + double(u[i])) / size - double(r.z[i]); };
    const double k = sum_of([&](int64_t i) { return away(i) * away(i); }) / 2;
    const auto across = [&](int64_t i) { return away(i) + double(r.z[i]) * k; };
    const double length = larger(std::sqrt(sum_of([&](int64_t i) { return across(i) * across(i); })), kTiny);
    const double border = a.radius * a.radius / 2 < 2 ? a.radius * a.radius / 2 : 2;
    const double kept = k < border ? k : border, sine = std::sqrt(larger(kept * (2 - kept), 0));
    for (int64_t i = first; i < d; i += stride) u[i] = T(across(i) / length * sine - double(r.z[i]) * kept);
  }
  if (a.floor)
    for (int64_t i = first; i < d; i += stride) {
      const T below = r.z[i] / unit(i) + u[i];
      if (below < T(0)) u[i] = u[i] - below;
    }

  if (!r.x) return;
  if (!a.sphere) {
    for (int64_t i = first; i < d; i += stride) r.x[i] = moved(u, i);
    return;
  }
  const double size = larger(
      std::sqrt(sum_of([&](int64_t i) { return double(moved(u, i)) * double(moved(u, i)); })), kLeastNorm);
  for (int64_t i = first; i < d; i += stride) r.x[i] = T(double(moved(u, i)) / size);
}

}  // namespace advf::ascent
