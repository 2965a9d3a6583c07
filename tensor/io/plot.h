// Curves of results as SVG, readable by themselves: axes with round numbers, marks, intervals, a legend, and
// a description for who cannot see them. The text is text; there is no script and no reference to anything
// else. The same input gives the same bytes.
#pragma once
#include <string>
#include <vector>

#include "tensor/io/svg.h"

namespace advf {

struct Series {
  std::string name;
  std::vector<double> xs, ys;  // of one length; points that are not finite are left out and break the line
  std::vector<double> low = {}, high = {};  // ends of each y's interval, drawn as a bar; or none at all
  bool marks = true;                        // at the points
  bool line = true;                         // from point to point
  std::vector<std::string> labels = {};     // beside the points; none or one each
};

struct PlotLayout {
  int width = 720,
      height = 440;            // pixels, 200 to 8000; higher where a legend would leave the curves too little
  bool log_x = false;          // equal ratios of x take equal room; points with x <= 0 are left out
  std::string describes = {};  // what is seen, for who cannot; empty: ranges and names
};

// One <svg> element, with the axes alone where no point is finite; a series without a name is not in the
// legend. Units belong in the axes' labels. Of a series of more than 4000 points, equal runs of consecutive
// ones are drawn as their first, lowest and highest, and a gap where there is one, 4000 in all. The first
// seven series differ in colour, the first six in the shape of marks, and the first 42 in one or the other.
// Throws Error where a series has unequal lengths, or for another layout.
std::string svg_plot(const std::string& title, const std::vector<Series>& series, const std::string& x_label,
                     const std::string& y_label, const PlotLayout& layout = {});

struct Plot {
  std::string title;
  std::vector<Series> series;
  std::string x_label, y_label;
  PlotLayout layout = {};
};
// Several, one below the other, in one <svg> element; `title` is said of them all and not drawn. Throws as
// svg_plot() does, and where there is none.
std::string svg_stack(const std::string& title, const std::vector<Plot>& plots);

}  // namespace advf
