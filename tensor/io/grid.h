// Pictures of results: a labelled grid of images, and curves. Readable by themselves, without any other file.
#pragma once
#include <string>
#include <vector>

#include "tensor/io/image.h"
#include "tensor/tensor.h"

namespace advf {

struct GridLabels {
  std::string title;              // above all; empty = none
  std::vector<std::string> rows;  // one per row, or none at all
  std::vector<std::string>
      columns;  // one per column, or none; broken at blanks where the column is too narrow
};

// Each cell is a f32 tensor (3,H,W) in [0,1], or undefined for a blank; all cells have one size. `zoom`
// repeats each pixel. Throws Error where sizes or the numbers of labels do not fit.
Image make_grid(const std::vector<std::vector<Tensor>>& rows, const GridLabels& labels = {}, int zoom = 1);

struct Series {
  std::string name;
  std::vector<double> xs, ys;  // of one length; points that are not finite are left out and break the line
};

// A line per series with a marker at each point, axes with round numbers, and a legend. 720 x 440 pixels.
// Draws the axes alone where no point is finite. Throws Error where a series has unequal lengths.
Image line_plot(const std::string& title, const std::vector<Series>& series, const std::string& x_label,
                const std::string& y_label);

}  // namespace advf
