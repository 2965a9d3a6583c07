// For tests of plans in bf16 on the CPU: whether the machine has it, and rounding of its own.
#pragma once
#include <bit>
#include <cstdint>
#include <iostream>

#include "tensor/cpu/kernels.h"
#include "test_util.h"

namespace advf::test {

// False after saying that the test is skipped.
inline bool has_bf16() {
  if (cpu::bf16_kernels()) return true;
  std::cout << "SKIPPED: this machine, or ADVF_CPU_ISA, has no AVX512_BF16\n";
  return false;
}

// To nearest even, of a finite number.
inline float to_bf16(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  return std::bit_cast<float>((bits + 0x7fffu + (bits >> 16 & 1u)) & 0xffff0000u);
}
inline Tensor to_bf16(const Tensor& t) {
  auto v = t.to_vector<float>();
  for (float& x : v) x = to_bf16(x);
  return Tensor::from(v, t.shape());
}

}  // namespace advf::test
