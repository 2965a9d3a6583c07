// The resident `duet`: the channels of a map in which most of the energy is are kept from the server; the
// rest is stored. After the split of DuetFace (Mi et al., "DuetFace: Collaborative privacy-preserving face
// recognition via channel splitting in the frequency domain", ACM MM 2022), where the channels are those of a
// photograph's block DCT, the client uses those that it keeps, and the recogniser is trained on the rest.
// This is a variant without retraining and without the client's half, on a feature map of a recogniser that
// stays as it is. The probe goes through the same.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "advface/core/fit.h"
#include "advface/networks/trained_network.h"
#include "advface/protections/protection.h"

namespace advf {

// Energy (the mean square) and mean of each channel over the training people. A file "advface-duet-1".
class ChannelEnergies : public TrainedNetwork {
 public:
  ChannelEnergies(const Provenance& from, const Shape& map);
  static std::unique_ptr<ChannelEnergies> load(const std::string& path);
  Tensor forward(const Tensor& features) const override { return features; }

  const Provenance& provenance() const override { return from_; }
  const Shape& feature() const override { return map_; }
  void set(const Tensor& energy, const Tensor& mean);  // (C) each
  float mean(size_t channel) const { return mean_.data<float>()[channel]; }
  // The channels with the most energy, the largest first, of equals the first.
  std::vector<size_t> strongest(size_t count) const;
  // The part of these energies that lies in these channels; 0 where there is none.
  static double share(const std::vector<double>& energies, const std::vector<size_t>& channels);

 private:
  Metadata description() const override;

  Provenance from_;
  Shape map_;
  Tensor energy_, mean_;
};

enum class DuetFill { zero, mean };
template <>
const std::vector<Choice<DuetFill>>& choices<DuetFill>();

struct DuetSpec : ProtectionSpec {
  std::string file;
  double hidden_share = 0.25;  // of the channels, rounded to whole ones, at least one, and one is left
  DuetFill fill = DuetFill::zero;
  int64_t hidden_channels = 0;  // of the file's

  std::unique_ptr<ProtectionSpec> clone() const override { return std::make_unique<DuetSpec>(*this); }
  Settings settings() override;
  void check_valid() const override;
  void check_complete() const override;
  std::string summary() const override;
  bool changes_probe() const override { return true; }
  std::unique_ptr<Protection> make(const ProtectionInput& input) const override;
};

struct DuetFit : Fit {
  Settings settings() override { return {}; }
  void check_valid() const override {}
  Metadata fit(const FitData& data, const std::string& path, const Context& context) const override;
};

}  // namespace advf
