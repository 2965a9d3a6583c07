// Shadows that make no picture: networks of features that stand in for who wants a name, or an attribute. The
// ascent (protections/ascent/) moves noise against them as against a decoder.
#pragma once
#include <memory>
#include <string>

#include "advface/core/recogniser.h"
#include "advface/networks/reader.h"
#include "advface/networks/trained_network.h"

namespace advf {

class FeatureShadow {
 public:
  virtual ~FeatureShadow() = default;
  virtual const TrainedNetwork& network() const = 0;
  // Of the features it was trained on, per element of a vector or per channel of a map: (D) or (C).
  virtual Tensor deviation() const = 0;
  // Whatever stays fixed while the noise moves, of the features z (n, feature...): n rows.
  virtual Tensor reference(const Tensor& z) const = 0;
  // (n): what noise is to make large, at the feature x (n, feature...). Appends ops, f32 or f64; each value
  // depends on its own record.
  virtual Tensor loss(const Tensor& x, const Tensor& reference) const = 0;
};

// Drives a linkage network's result away from who it is: 1 - cosine of the embedding that it reads in x to
// that of the feature itself; where a protection has moved features to a space of their own, to what it reads
// in z.
class LinkageShadow : public FeatureShadow {
 public:
  // recogniser: H, for features that are no embeddings; else null will do.
  LinkageShadow(std::unique_ptr<Reader> reader, const Recogniser* recogniser);
  const TrainedNetwork& network() const override { return *reader_; }
  Reader& reader() { return *reader_; }
  Tensor deviation() const override;
  Tensor reference(const Tensor& z) const override;
  Tensor loss(const Tensor& x, const Tensor& reference) const override;

 private:
  Tensor embedding(const Tensor& read) const;

  std::unique_ptr<Reader> reader_;
  const Recogniser* recogniser_;
};

}  // namespace advf
