// An attacker: who has features, raw or protected, and makes faces of them. Residents stand in registry.h, a
// row each.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "advface/core/provenance.h"
#include "advface/protections/protection.h"
#include "tensor/tensor.h"

namespace advf {

class Attacker {
 public:
  virtual ~Attacker() = default;

  // What it was trained on: whose features, protected how, which people.
  virtual const Provenance& provenance() const = 0;
  virtual const Shape& row() const = 0;  // of a feature that it takes
  virtual int image_size() const = 0;    // side of its images in pixels
  virtual std::string kind() const = 0;  // its row in registry.h: "decoder"
  virtual std::string name() const = 0;  // when the user gives it none: "deconv"
  // (3,S,S): the mean of the faces that it was trained on, which is what an attacker knows without a feature.
  virtual Tensor mean_face() const = 0;
  // (n, row) -> (n,3,S,S) in [0,1], on the current backend. Image i depends on row i alone.
  virtual Tensor attack(const Tensor& features) const = 0;
};

}  // namespace advf
