#include "tensor/io/axis.h"

#include <algorithm>
#include <cmath>

#include "tensor/io/svg.h"

namespace advf {

double Axis::position(double v) const {
  const double share =
      log ? (std::log(v) - std::log(low)) / (std::log(high) - std::log(low)) : (v - low) / (high - low);
  return from + share * (to - from);
}

std::vector<std::string> Axis::labels() const {
  int digits = 6;
  if (!log && ticks.size() > 1) {
    const double most = std::max(std::abs(low), std::abs(high)), step = ticks[1] - ticks[0];
    digits = std::clamp(int(std::floor(std::log10(most / step))) + 2, digits, 15);
  }
  std::vector<std::string> texts;
  for (const double v : ticks) texts.push_back(svg_number(v, digits));
  return texts;
}

Axis axis_for(const std::vector<double>& values) {
  Axis axis;
  double low = 0, high = 1;
  if (!values.empty()) {
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    low = *least;
    high = *most;
  }
  // A range too narrow to be told apart in a double is widened.
  if (high - low <= std::max(std::abs(low), std::abs(high)) * 1e-9) {
    const double pad = std::abs(low) > 1e-200 ? std::abs(low) * 0.1 : 1;
    low -= pad;
    high += pad;
  }
  const double rough = high / 5 - low / 5, power = std::pow(10, std::floor(std::log10(rough)));
  const double factor = rough / power;
  const double step = (factor < 1.5 ? 1 : factor < 3.5 ? 2 : factor < 7.5 ? 5 : 10) * power;
  axis.low = std::floor(low / step + 1e-9) * step;
  axis.high = std::ceil(high / step - 1e-9) * step;
  for (int i = 0, n = int(std::lround((axis.high - axis.low) / step)); i <= n; ++i) {
    const double v = axis.low + i * step;
    axis.ticks.push_back(std::abs(v) < step * 1e-6 ? 0 : v);
  }
  return axis;
}

Axis log_axis_for(const std::vector<double>& values) {
  Axis axis;
  axis.log = true;
  double low = 1, high = 10;
  if (!values.empty()) {
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    low = *least;
    high = *most;
  }
  const int first = int(std::floor(std::log10(low))), last = int(std::ceil(std::log10(high)));
  const bool all = last - first <= 3;
  std::vector<double> round;
  for (int power = first; power <= last; power += std::max(1, (last - first) / 6))
    for (const double factor : {1.0, 2.0, 5.0})
      if (all || factor == 1) round.push_back(factor * std::pow(10, power));
  round.push_back(std::pow(10, last + 1));
  // From the last round number that is not above the values to the first that is not below them.
  size_t begin = 0, end = 1;
  while (begin + 2 < round.size() && round[begin + 1] <= low * (1 + 1e-9)) ++begin;
  end = begin + 1;
  while (end + 1 < round.size() && round[end] < high * (1 - 1e-9)) ++end;
  axis.ticks.assign(round.begin() + std::ptrdiff_t(begin), round.begin() + std::ptrdiff_t(end + 1));
  axis.low = axis.ticks.front();
  axis.high = axis.ticks.back();
  return axis;
}

}  // namespace advf
