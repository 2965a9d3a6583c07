// An axis of a plot: the range of its numbers, and the round numbers on it.
#pragma once
#include <string>
#include <vector>

namespace advf {

struct Axis {
  double low = 0, high = 1;
  bool log = false;  // equal ratios take equal room; low is above 0
  std::vector<double> ticks = {};
  double from = 0, to = 1;  // where low and high stand, in pixels
  double position(double v) const;
  // The ticks' numbers, as short as tells them apart.
  std::vector<std::string> labels() const;
};

// A range that holds all values, its ends multiples of a step of 1, 2 or 5 times a power of ten, about five
// steps. Values are finite, with differences that do not overflow; 0 to 1 where there are none.
Axis axis_for(const std::vector<double>& values);
// The same for positive values, with 1, 2 and 5 of each power of ten, or the powers alone where these are
// many; 1 to 10 where there are none.
Axis log_axis_for(const std::vector<double>& values);

}  // namespace advf
