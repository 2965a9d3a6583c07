#include "advface/networks/recogniser_terms.h"

#include <algorithm>

#include "advface/core/features.h"
#include "advface/networks/image_terms.h"
#include "autograd/named_plan.h"
#include "autograd/tape.h"
#include "nn/freeze.h"
#include "tensor/backend.h"
#include "tensor/ops.h"

namespace advf {
namespace {

// weight (1 - mean cosine) of the recogniser's embeddings of images to rows of `target`. The recogniser
// learns nothing here, so it runs on a plan (batch norm folded, weights packed once), which gives the
// distance and its gradient in the images; on the tape stands the plane that touches the distance there. A
// network that takes one image at a time has no plan for a batch, and stays on the tape.
class Distance {
 public:
  Distance(const Recogniser& recogniser, double weight) : recogniser_(recogniser), weight_(weight) {}

  Tensor of(const Tensor& images, const Tensor& target) const {
    if (!current_recorder() || MetaScope::active() || !recogniser_.one_at_a_time().empty())
      return traced(images, target);
    Tensor there, distance, gradient;
    {
      const NoTapeScope fixed;
      NamedPlan& plan = plan_for(images.shape(), target.shape());
      plan.set("images", images);
      plan.set("target", target);
      plan.run();
      there = affine(images, 1, 0);
      distance = plan.get("distance");
      gradient = plan.get("gradient");
    }
    return add(sum_all(mul(sub(images, there), gradient)), distance);
  }

 private:
  static constexpr size_t kPlans = 2;  // of a batch and of what is left at the end of a set
  struct Entry {
    Shape images;
    const Backend* backend;
    std::unique_ptr<NamedPlan> plan;
  };

  Tensor traced(const Tensor& images, const Tensor& target) const {
    const Tensor found = recogniser_.embed(recogniser_.preprocess(images));
    return affine(mean_all(reduce_sum(mul(found, target), {1}, false)), -weight_, weight_);
  }

  NamedPlan& plan_for(const Shape& images, const Shape& target) const {
    const auto found = std::find_if(plans_.begin(), plans_.end(), [&](const Entry& e) {
      return e.images == images && e.backend == &current_backend();
    });
    if (found != plans_.end()) {
      std::rotate(plans_.begin(), found, found + 1);
      return *plans_.front().plan;
    }
    while (plans_.size() >= kPlans) plans_.pop_back();  // before the next one takes memory
    Tape tape(Tape::Keep::everything);
    NamedTensors in, out;
    const Tensor x = Tensor::meta(images), wanted = Tensor::meta(target);
    in.add("images", x);
    in.add("target", wanted);
    {
      const MetaScope meta;
      const TapeScope scope(tape);
      const Tensor distance = traced(x, wanted);
      tape = fold_batch_norm(tape, std::span(&distance, 1));
      out.add("distance", distance);
      out.add("gradient", backward(tape, distance, {x}, true)[0]);
    }
    plans_.insert(plans_.begin(), {images, &current_backend(), std::make_unique<NamedPlan>(tape, in, out)});
    return *plans_.front().plan;
  }

  const Recogniser& recogniser_;
  double weight_;
  mutable std::vector<Entry> plans_;  // the one used last first
};

class IdentityTerm : public DecoderLoss {
 public:
  IdentityTerm(double weight, const DecoderLossInput& input)
      : input_(input), distance_(*input.recogniser, weight) {}
  Tensor loss(const Tensor& images, const Tensor&, const std::vector<int64_t>& rows) const override {
    const Recogniser& r = *input_.recogniser;
    Tensor target;
    {
      const NoTapeScope fixed;
      target = r.embed_from(input_.raw.batch(rows), input_.cut);
    }
    return distance_.of(images, target);
  }

 private:
  DecoderLossInput input_;
  Distance distance_;
};

class SecondTerm : public DecoderLoss {
 public:
  SecondTerm(double weight, std::shared_ptr<const Recogniser> recogniser)
      : recogniser_(std::move(recogniser)), distance_(*recogniser_, weight) {}
  Tensor loss(const Tensor& images, const Tensor& faces, const std::vector<int64_t>&) const override {
    Tensor target;
    {
      const NoTapeScope fixed;
      target = recogniser_->embed(recogniser_->preprocess(faces));
    }
    return distance_.of(images, target);
  }

 private:
  std::shared_ptr<const Recogniser> recogniser_;
  Distance distance_;
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
  check(input.recogniser != nullptr && input.raw.count() > 0,
        "the decoder loss identity compares images with the features that the recogniser makes, but only "
        "protected ones are there; leave --features out");
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
