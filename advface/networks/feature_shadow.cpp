#include "advface/networks/feature_shadow.h"

#include "tensor/ops.h"

namespace advf {

LinkageShadow::LinkageShadow(std::unique_ptr<Reader> reader, const Recogniser* recogniser)
    : reader_(std::move(reader)), recogniser_(recogniser) {}

Tensor LinkageShadow::deviation() const { return reader_->net().deviation(); }

Tensor LinkageShadow::embedding(const Tensor& read) const {
  if (reader_->out_domain() == FeatureDomain::sphere) return read;  // it is one
  check(recogniser_ != nullptr, "the linkage network ", reader_->source(),
        " reads features that are no embeddings, so the recogniser is needed");
  return recogniser_->embed_from(read, reader_->info().cut);
}

Tensor LinkageShadow::reference(const Tensor& z) const {
  return reader_->emits_embeddings() ? reader_->forward(z) : embedding(z);
}

Tensor LinkageShadow::loss(const Tensor& x, const Tensor& reference) const {
  return affine(reduce_sum(mul(embedding(reader_->forward(x)), reference), {1}, false), -1, 1);
}

}  // namespace advf
