#include "advface/networks/image_terms.h"

#include <cmath>
#include <sstream>

#include "nn/loss.h"
#include "tensor/ops.h"

namespace advf {
namespace {

struct PixelTerm : DecoderLoss {
  double weight;
  explicit PixelTerm(double w) : weight(w) {}
  Tensor loss(const Tensor& images, const Tensor& faces, const std::vector<int64_t>&) const override {
    const Tensor l1 = l1_loss(images, faces);
    return weight == 1 ? l1 : affine(l1, weight, 0);
  }
};

struct StructureTerm : DecoderLoss {
  double weight;
  explicit StructureTerm(double w) : weight(w) {}
  Tensor loss(const Tensor& images, const Tensor& faces, const std::vector<int64_t>&) const override {
    return affine(ssim_loss(images, faces), weight, 0);
  }
};

}  // namespace

std::string term_summary(const std::string& name, double weight) {
  std::ostringstream out;
  out << name << ", weight " << weight;
  return out.str();
}

void check_term_weight(const std::string& what, double weight) {
  check(std::isfinite(weight) && weight > 0 && weight <= kMostWeight, what,
        " must lie above 0 and not above ", kMostWeight, ", not ", weight);
}

Settings PixelTermSpec::settings() {
  return {number_setting("pixel_weight", weight, {0, kMostWeight},
                         "of the pixels' mean absolute difference; 0 beside another loss leaves them out")};
}

void PixelTermSpec::check_valid() const {
  check(std::isfinite(weight) && weight >= 0 && weight <= kMostWeight,
        "the pixels' weight must lie from 0 to ", kMostWeight, ", not ", weight);
}

std::string PixelTermSpec::summary() const {
  return weight == 1 ? kPlainTerm : term_summary(kPlainTerm, weight);
}

std::unique_ptr<DecoderLoss> PixelTermSpec::make(const DecoderLossInput&) const {
  return weight > 0 ? std::make_unique<PixelTerm>(weight) : nullptr;
}

Settings StructureTermSpec::settings() {
  return {number_setting("structure_weight", weight, {0, kMostWeight, true},
                         "of 1 - SSIM, beside 1 for the pixels")};
}

void StructureTermSpec::check_valid() const { check_term_weight("the structure's weight", weight); }

std::string StructureTermSpec::summary() const { return term_summary("structure", weight); }

std::unique_ptr<DecoderLoss> StructureTermSpec::make(const DecoderLossInput&) const {
  return std::make_unique<StructureTerm>(weight);
}

}  // namespace advf
