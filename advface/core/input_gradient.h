// The gradient of a function of images to the images, on a plan: rows of its Jacobian, or any combination.
#pragma once
#include <functional>

#include "autograd/named_plan.h"
#include "tensor/tensor.h"

namespace advf {

// A differentiable function of images (n,3,S,S) whose row i depends on image i alone.
using Encoder = std::function<Tensor(const Tensor& images)>;

class InputGradient {
 public:
  InputGradient(const Encoder& encoder, const Shape& images);

  const Shape& output() const { return output_; }  // of the function, of all images
  void set_images(const Tensor& images);
  // v, of the output's shape: J_i^T v_i of each image i; in host memory.
  Tensor along(const Tensor& v);

 private:
  Shape output_;
  NamedPlan plan_;
};

}  // namespace advf
