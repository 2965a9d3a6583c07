// Pictures of results: a labelled grid of images, readable by itself, without any other file.
#pragma once
#include <string>
#include <vector>

#include "tensor/io/image.h"
#include "tensor/tensor.h"

namespace advf {

struct GridLabels {
  std::string title;                 // above all; empty = none
  std::vector<std::string> rows;     // one per row, or none at all
  std::vector<std::string> columns;  // one per column, or none
};

// Each cell is a f32 tensor (3,H,W) in [0,1], or undefined for a blank; all cells have one size. `zoom`
// repeats each pixel. Labels are as large as cells allow, broken at blanks, and shortened where even so there
// is no room. Throws Error where sizes or the numbers of labels do not fit.
Image make_grid(const std::vector<std::vector<Tensor>>& rows, const GridLabels& labels = {}, int zoom = 1);

}  // namespace advf
