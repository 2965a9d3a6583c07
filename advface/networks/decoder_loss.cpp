#include "advface/networks/decoder_loss.h"

#include "advface/networks/identity_loss.h"
#include "nn/loss.h"

namespace advf {
namespace {

struct L1Loss : DecoderLoss {
  Tensor loss(const Tensor& images, const Tensor& faces, const std::vector<int64_t>&) const override {
    return l1_loss(images, faces);
  }
};

struct L1Spec : DecoderLossSpec {
  std::string summary() const override { return "l1"; }
  std::unique_ptr<DecoderLoss> make(const DecoderLossInput&) const override {
    return std::make_unique<L1Loss>();
  }
};

template <class Spec>
std::unique_ptr<DecoderLossSpec> make() {
  return std::make_unique<Spec>();
}

}  // namespace

const std::vector<DecoderLossKind>& decoder_losses() {
  static const std::vector<DecoderLossKind> rows{
      {"l1", "the mean absolute difference of pixels", make<L1Spec>},
      {"identity", "the same, and how far the recogniser finds the image from the feature",
       make<IdentityLossSpec>},
  };
  return rows;
}

const DecoderLossKind& decoder_loss_kind(const std::string& name) {
  for (const DecoderLossKind& kind : decoder_losses())
    if (kind.name == name) return kind;
  fail("there is no decoder loss \"", name, "\"", known_names_of(name, decoder_losses()));
}

}  // namespace advf
