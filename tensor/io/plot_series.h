// How the curves of a plot are drawn, within axes that are laid out.
#pragma once
#include <string>
#include <vector>

#include "tensor/io/axis.h"
#include "tensor/io/plot.h"

namespace advf {

// y.from is the lower end, and the larger number.
struct PlotFrame {
  Axis x, y;
};

bool is_drawable(const Series& series, size_t point, bool log_x);
bool has_bar(const Series& series, size_t point);

// A piece of the line with a mark on it, for the legend: of the k-th series, around (x, y), `width` pixels.
std::string svg_sample(const Series& series, size_t k, double x, double y, double width);
// Lines, bars and marks of the k-th series.
std::string svg_series(const Series& series, size_t k, const PlotFrame& frame);
// The labels of all series' points, none over another or over a mark where that can be helped; those that the
// plot has no room for end in "...".
std::string svg_point_labels(const std::vector<Series>& series, const PlotFrame& frame, double size);

}  // namespace advf
