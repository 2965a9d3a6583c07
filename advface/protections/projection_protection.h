// The resident `projection`: of a vector only the directions are kept that tell people apart, found by linear
// discriminant analysis (Fisher 1936; Rao 1948) on the training people, and the result is brought to norm 1.
// What is not identity (light, pose, expression) is thrown away. No key: identity itself still shows the
// face. The probe is projected as well. Which axes the result has does not matter to a cosine; they are
// turned at random, so that no value carries more than another, and a quantisation behind loses the least.
#pragma once
#include <memory>
#include <string>

#include "advface/core/fit.h"
#include "advface/networks/trained_network.h"
#include "advface/protections/protection.h"
#include "nn/nets/feature_net.h"

namespace advf {

// forward: (N, D) -> unit vectors (N, dims) along `matrix`^T (x - `mean`), brought to norm 1, to which a
// small network of x may add, where one was trained (networks/train_projection.h). A file
// "advface-projection-1".
class Projection : public TrainedNetwork {
 public:
  Projection(const Provenance& from, int64_t values, int64_t dims);
  // The same with a network of this size behind it, which adds nothing before it is trained.
  Projection(const Projection& fitted, FeatureNetSpec spec, uint64_t seed);
  static std::unique_ptr<Projection> load(const std::string& path);
  Tensor forward(const Tensor& features) const override;

  const Provenance& provenance() const override { return from_; }
  const Shape& feature() const override { return feature_; }
  int64_t values() const { return matrix_.dim(0); }
  int64_t dims() const { return matrix_.dim(1); }
  void set(const Tensor& matrix, const Tensor& mean);  // (D, dims), (D)
  Tensor fitted(const Tensor& features) const;         // without the network
  bool has_network() const { return net_ != nullptr; }
  FeatureNet& network() { return *net_; }

 private:
  Metadata description() const override;

  Provenance from_;
  Shape feature_;
  Tensor matrix_, mean_;
  FeatureNetSpec spec_;
  std::unique_ptr<FeatureNet> net_;
};

struct ProjectionSpec : ProtectionSpec {
  std::string file;
  int64_t dims = 0;  // of the file

  std::unique_ptr<ProtectionSpec> clone() const override { return std::make_unique<ProjectionSpec>(*this); }
  Settings settings() override;
  void check_valid() const override;
  void check_complete() const override;
  std::string summary() const override;
  bool changes_probe() const override { return true; }
  FeatureSpace out(const FeatureSpace&) const override { return {{dims}, FeatureDomain::sphere, true}; }
  std::unique_ptr<Protection> make(const ProtectionInput& input) const override;
};

struct ProjectionFit : Fit {
  int64_t dims = 64;
  double shrinkage = 1;  // of the mean variance within people, added in every direction

  Settings settings() override;
  void check_valid() const override;
  Metadata fit(const FitData& data, const std::string& path, const Context& context) const override;
};

}  // namespace advf
