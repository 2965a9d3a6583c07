// The layouts of values inside a plan in bf16, and which steps understand them. Plain is f32, channels first,
// as everywhere. Channels last is bf16, (N,H,W,C), for C a multiple of 8.
#pragma once
#include "tensor/backend.h"

namespace advf::cuda {

constexpr int kPlain = 0, kChannelsLast = 1;

// Whether a convolution or product of a plan in bf16 runs in bf16: its weight is constant, it has no groups,
// and its border is the same on both sides.
bool runs_in_bf16(const OpCall& call, bool constant_weight);

// Channels last wherever the steps that write and read a value all take it so. Values of `fixed` stay plain.
void choose_channels_last(std::span<const PlannedStep> steps, std::span<const uint8_t> fixed,
                          std::span<ValueInfo> values, std::span<int64_t> bytes);

}  // namespace advf::cuda
