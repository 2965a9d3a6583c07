// 16-bit floats as files hold them, and f32. Widening is exact: every f16 and bf16 value, infinities and NaNs
// included, has its f32. Narrowing rounds to the nearest, ties to even.
#pragma once
#include <bit>
#include <cstdint>

namespace advf {

inline float bf16_to_float(uint16_t bits) { return std::bit_cast<float>(uint32_t(bits) << 16); }

// IEEE 754 binary16: 1 sign, 5 exponent (bias 15), 10 fraction bits.
inline float f16_to_float(uint16_t bits) {
  const uint32_t sign = uint32_t(bits & 0x8000u) << 16, rest = bits & 0x7fffu;
  // The product brings the exponent to the other bias and is exact, also for subnormals: no branch, so that
  // loops become vector code.
  const uint32_t magnitude = std::bit_cast<uint32_t>(std::bit_cast<float>(rest << 13) * 0x1p112f);
  const uint32_t no_number = rest >= 0x7c00u ? 0x7f800000u : 0u;
  return std::bit_cast<float>(sign | magnitude | no_number);
}

// What is beyond 65504 after rounding becomes infinite; a NaN stays one.
inline uint16_t float_to_f16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value), sign = bits >> 16 & 0x8000u,
                 magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return uint16_t(sign | 0x7e00u);
  if (magnitude >= 0x477ff000u) return uint16_t(sign | 0x7c00u);  // 65520 and above
  if (magnitude < 0x38800000u) {
    // Subnormal: a whole number of 2^-24, which adding 0.5 (whose last bit is 2^-24) rounds to.
    const uint32_t rounded = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f);
    return uint16_t(sign | (rounded - 0x3f000000u));
  }
  const uint32_t rebased = magnitude - (112u << 23);  // the bias of 127 becomes 15
  return uint16_t(sign | (rebased + 0xfffu + (rebased >> 13 & 1u)) >> 13);
}

}  // namespace advf
