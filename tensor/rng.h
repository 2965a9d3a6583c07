// Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a counter-based
// generator. The number at position i of stream (seed, stream) depends on nothing else, so results are the
// same in any order, on any number of threads and on every backend.
#pragma once
#include <array>
#include <cmath>
#include <cstdint>

namespace advf {

struct Philox {
  uint64_t seed = 0, stream = 0;

  std::array<uint32_t, 4> block(uint64_t counter) const {
    std::array<uint32_t, 4> c{uint32_t(counter), uint32_t(counter >> 32), uint32_t(stream),
                              uint32_t(stream >> 32)};
    uint32_t k0 = uint32_t(seed), k1 = uint32_t(seed >> 32);
    for (int round = 0; round < 10; ++round) {
      const uint64_t p0 = uint64_t(0xD2511F53u) * c[0], p1 = uint64_t(0xCD9E8D57u) * c[2];
      c = {uint32_t(p1 >> 32) ^ c[1] ^ k0, uint32_t(p1), uint32_t(p0 >> 32) ^ c[3] ^ k1, uint32_t(p0)};
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    return c;
  }
  uint32_t bits(uint64_t i) const { return block(i / 4)[i % 4]; }
  // Uniform in [0, 1), 24 bits.
  float uniform(uint64_t i) const { return float(bits(i) >> 8) * 0x1p-24f; }
  double uniform(uint64_t i, double low, double high) const {
    return low + (high - low) * double(uniform(i));
  }
  // Standard normal (Box-Muller); positions 2i and 2i+1 of the uniform stream.
  double normal(uint64_t i) const {
    const double u = 1.0 - double(uniform(2 * i)), v = double(uniform(2 * i + 1));
    return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * 3.14159265358979323846 * v);
  }
  // Uniform in [0, n), n > 0.
  uint64_t below(uint64_t i, uint64_t n) const {
    const auto b = block(i);
    return uint64_t((static_cast<unsigned __int128>((uint64_t(b[1]) << 32) | b[0]) * n) >> 64);
  }
};

}  // namespace advf
