#include "advface/networks/identity_loss.h"

#include <cmath>
#include <sstream>

#include "nn/loss.h"
#include "tensor/ops.h"

namespace advf {
namespace {

class IdentityLoss : public DecoderLoss {
 public:
  IdentityLoss(double weight, const DecoderLossInput& input) : weight_(weight), input_(input) {
    check(input.recogniser != nullptr && input.raw.count() > 0,
          "the decoder loss identity compares images with the features that the recogniser makes, but only "
          "protected ones are there; leave --features out");
  }
  Tensor loss(const Tensor& images, const Tensor& faces, const std::vector<int64_t>& rows) const override {
    const Recogniser& r = *input_.recogniser;
    Tensor target;
    {
      const NoTapeScope fixed;
      target = r.embed_from(input_.raw.batch(rows), input_.cut);
    }
    const Tensor cosines = reduce_sum(mul(r.embed(r.preprocess(images)), target), {1}, false);
    return add(l1_loss(images, faces), affine(mean_all(cosines), -weight_, weight_));
  }

 private:
  double weight_;
  DecoderLossInput input_;
};

}  // namespace

Settings IdentityLossSpec::settings() {
  return {number_setting("identity_weight", weight,
                         "of 1 - cosine to the feature, beside 1 for the pixels; published attacks take 0.25 "
                         "to 1")};
}

void IdentityLossSpec::check_valid() const {
  check(std::isfinite(weight) && weight > 0 && weight <= 1000,
        "the identity's weight must lie above 0 and not above 1000, not ", weight);
}

std::string IdentityLossSpec::summary() const {
  std::ostringstream out;
  out << "identity, weight " << weight;
  return out.str();
}

std::unique_ptr<DecoderLoss> IdentityLossSpec::make(const DecoderLossInput& input) const {
  return std::make_unique<IdentityLoss>(weight, input);
}

}  // namespace advf
