// What a card says by channel.
#pragma once
#include <array>

namespace advf {

// One number for each of three channels.
constexpr std::array<double, 3> all_channels(double value) { return {value, value, value}; }

}  // namespace advf
