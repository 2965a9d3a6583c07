// A convolution's shapes and attributes as the library wants them (conv.h).
#pragma once
#include "cuda/conv.h"
#include "tensor/check.h"
#include "tensor/op.h"

namespace advf::cuda {

// x (N,C,H,W), w (O,C/groups,kh,kw), y (N,O,oh,ow). The border is the attributes' upper and left one. Throws
// Error, naming the op, where a tensor has more elements than the library counts.
inline ConvProblem conv_problem(const char* op, const Shape& x, const Shape& w, const Shape& y,
                                const ConvAttrs& a) {
  for (const Shape* s : {&x, &w, &y})
    check(s->numel() <= INT32_MAX, op, ": a size of ", s->numel(), " is too large for cuda");
  return {int(x[0]),
          int(x[1]),
          int(x[2]),
          int(x[3]),
          int(y[1]),
          int(y[2]),
          int(y[3]),
          int(w[2]),
          int(w[3]),
          {a.stride[0], a.stride[1]},
          {a.pad[0], a.pad[1]},
          {a.dilation[0], a.dilation[1]},
          a.groups};
}

}  // namespace advf::cuda
