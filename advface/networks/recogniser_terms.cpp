#include "advface/networks/recogniser_terms.h"

#include "advface/core/features.h"
#include "advface/networks/image_terms.h"
#include "autograd/tape.h"
#include "tensor/ops.h"

namespace advf {
namespace {

// weight (1 - mean cosine) of the recogniser's embeddings of the images to rows of `target`.
Tensor distance(const Recogniser& r, const Tensor& images, const Tensor& target, double weight) {
  const Tensor cosines = reduce_sum(mul(r.embed(r.preprocess(images)), target), {1}, false);
  return affine(mean_all(cosines), -weight, weight);
}

class IdentityTerm : public DecoderLoss {
 public:
  IdentityTerm(double weight, const DecoderLossInput& input) : weight_(weight), input_(input) {
    check(input.recogniser != nullptr && input.raw.count() > 0,
          "the decoder loss identity compares images with the features that the recogniser makes, but only "
          "protected ones are there; leave --features out");
  }
  Tensor loss(const Tensor& images, const Tensor&, const std::vector<int64_t>& rows) const override {
    const Recogniser& r = *input_.recogniser;
    Tensor target;
    {
      const NoTapeScope fixed;
      target = r.embed_from(input_.raw.batch(rows), input_.cut);
    }
    return distance(r, images, target, weight_);
  }

 private:
  double weight_;
  DecoderLossInput input_;
};

class SecondTerm : public DecoderLoss {
 public:
  SecondTerm(double weight, std::shared_ptr<const Recogniser> recogniser)
      : weight_(weight), recogniser_(std::move(recogniser)) {}
  Tensor loss(const Tensor& images, const Tensor& faces, const std::vector<int64_t>&) const override {
    Tensor target;
    {
      const NoTapeScope fixed;
      target = recogniser_->embed(recogniser_->preprocess(faces));
    }
    return distance(*recogniser_, images, target, weight_);
  }

 private:
  double weight_;
  std::shared_ptr<const Recogniser> recogniser_;
};

}  // namespace

Settings IdentityTermSpec::settings() {
  return {number_setting("identity_weight", weight, {0, kMostWeight, true},
                         "of 1 - cosine to the feature, beside 1 for the pixels; published attacks take 0.25 "
                         "to 1")};
}

void IdentityTermSpec::check_valid() const { check_term_weight("the identity's weight", weight); }

std::string IdentityTermSpec::summary() const { return term_summary("identity", weight); }

std::unique_ptr<DecoderLoss> IdentityTermSpec::make(const DecoderLossInput& input) const {
  return std::make_unique<IdentityTerm>(weight, input);
}

Settings SecondTermSpec::settings() {
  return {
      file_setting("loss_recogniser", card, "card of a second recogniser, which sees the image and the face"),
      number_setting("loss_recogniser_weight", weight, {0, kMostWeight, true},
                     "of 1 - cosine of its embeddings, beside 1 for the pixels")};
}

void SecondTermSpec::check_valid() const {
  check(!card.empty(),
        "the decoder loss second asks another recogniser; name its card with --loss-recogniser");
  check_term_weight("the second recogniser's weight", weight);
}

void SecondTermSpec::open(const Recogniser& deployed) {
  recogniser_ = std::make_shared<const Recogniser>(Recogniser::load(card));
  check_another(*recogniser_, deployed);
}

std::string SecondTermSpec::summary() const {
  check(recogniser_ != nullptr, card, ": the second recogniser is not loaded");
  return term_summary("second", weight) + ", recogniser " + recogniser_->fingerprint();
}

std::unique_ptr<DecoderLoss> SecondTermSpec::make(const DecoderLossInput&) const {
  check(recogniser_ != nullptr, card, ": the second recogniser is not loaded");
  return std::make_unique<SecondTerm>(weight, recogniser_);
}

}  // namespace advf
