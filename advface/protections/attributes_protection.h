// The resident `attributes`: what labels say of a person (a beard, a smile) is taken out of vectors before
// they are stored, by the affine map of attribute_erasure.h, found on the training people; the probe goes
// through the same, and features stay where the recogniser knows them. No key.
// What it promises, with leace: on the people that it was fitted on, no linear classifier tells the attribute
// from the map's result better than by always saying the same. It is less than it sounds in three ways.
// - On other people the moments are others, by as much as chance makes them.
// - Unit vectors are brought back to norm 1 behind the map. How long a vector is after it may go with the
//   attribute, so the means of both classes part again by a few hundredths of what they were apart: the fit
//   measures that (`train_separation` over `train_separation_raw`). Features that may be any numbers keep the
//   guarantee.
// - A classifier that is not linear is not meant, and finds more.
// Maps are refused, and so are vectors without negative values, which the map would leave.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "advface/core/fit.h"
#include "advface/networks/trained_network.h"
#include "advface/protections/attribute_erasure.h"
#include "advface/protections/protection.h"

namespace advf {

enum class Erasure { leace, nullspace };
template <>
const std::vector<Choice<Erasure>>& choices<Erasure>();

struct EraserInfo : Provenance {
  std::vector<std::string> attributes;
  Erasure erasure = Erasure::leace;
};

// forward: (N, D) -> the same without the attributes, of norm 1 where `domain` is the sphere. A file
// "advface-attributes-1".
class Eraser : public TrainedNetwork {
 public:
  Eraser(const EraserInfo& info, int64_t values, int64_t directions);
  static std::unique_ptr<Eraser> load(const std::string& path);
  Tensor forward(const Tensor& features) const override;
  Tensor before_norm(const Tensor& features) const;  // the affine map alone

  const EraserInfo& info() const { return info_; }
  const Provenance& provenance() const override { return info_; }
  const Shape& feature() const override { return feature_; }
  int64_t directions() const { return read_.dim(1); }
  void set(const ErasureMap& map);

 private:
  Metadata description() const override;

  EraserInfo info_;
  Shape feature_;
  Tensor read_, write_, mean_;  // (D, directions), (directions, D), (D)
};

struct AttributesSpec : ProtectionSpec {
  std::string file;
  // Of the file:
  std::string attributes;  // names, with commas between them
  Erasure erasure = Erasure::leace;
  int64_t directions = 0;

  std::unique_ptr<ProtectionSpec> clone() const override { return std::make_unique<AttributesSpec>(*this); }
  Settings settings() override;
  void check_valid() const override;
  void check_complete() const override;
  std::string summary() const override;
  bool changes_probe() const override { return true; }
  std::unique_ptr<Protection> make(const ProtectionInput& input) const override;
};

// Measured, of training (`train_`) and validation people: how far apart the means of the two classes are, of
// the attribute for which that is most (`separation_raw`, `separation`: before and after), and the mean
// cosine of what is stored to the feature (`cosine`).
struct AttributesFit : Fit {
  std::string attributes;
  Erasure erasure = Erasure::leace;
  int64_t rounds = 8;

  Settings settings() override;
  void check_valid() const override;
  void check_labels(const Labels& labels) const override;
  Metadata fit(const FitData& data, const std::string& path, const Context& context) const override;
};

}  // namespace advf
