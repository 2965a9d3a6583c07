// Curves of results as a picture, readable by itself: axes with round numbers, marks, intervals, a legend.
#pragma once
#include <string>
#include <vector>

#include "tensor/io/image.h"

namespace advf {

struct Series {
  std::string name;
  std::vector<double> xs, ys;  // of one length; points that are not finite are left out and break the line
  std::vector<double> low = {}, high = {};  // ends of each y's interval, drawn as a bar; or none at all
  bool marks = true;                        // at the points
};

struct PlotLayout {
  int width = 720, height = 440;  // pixels, 200 to 8000
  int scale = 1;                  // of letters, lines and marks, 1 to 8
  bool log_x = false;             // equal ratios of x take equal room; points with x <= 0 are left out
};

// A line per series with a mark at each point; a series without a name is not in the legend. Draws the axes
// alone where no point is finite. Throws Error where a series has unequal lengths, or for another layout.
Image line_plot(const std::string& title, const std::vector<Series>& series, const std::string& x_label,
                const std::string& y_label, const PlotLayout& layout = {});

}  // namespace advf
