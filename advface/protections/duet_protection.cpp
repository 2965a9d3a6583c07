#include "advface/protections/duet_protection.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <sstream>

#include "nn/nets/net_metadata.h"
#include "nn/state_dict.h"
#include "tensor/backend.h"
#include "tensor/ops.h"

namespace advf {
namespace {

constexpr const char* kFormat = "advface-duet-1";

int64_t channels_of(double share, int64_t all) {
  return std::clamp<int64_t>(std::llround(share * double(all)), 1, all - 1);
}

class DuetProtection : public Protection {
 public:
  DuetProtection(const DuetSpec& spec, const ProtectionInput& input)
      : spec_(spec), fingerprint_(file_fingerprint(spec.file)), net_(ChannelEnergies::load(spec.file)) {
    net_->check_fits(input.space.row, input.recogniser, input.cut, input.what);
    space_ = {net_->feature(), net_->provenance().domain, input.space.moved};
    spec_.hidden_channels = channels_of(spec_.hidden_share, space_.row[0]);
    hidden_ = net_->strongest(size_t(spec_.hidden_channels));
    std::vector<float> keeps(size_t(space_.row[0]), 1.0f), fills(keeps.size(), 0.0f);
    for (const size_t c : hidden_) {
      keeps[c] = 0;
      if (spec_.fill == DuetFill::mean) fills[c] = net_->mean(c);
    }
    const Shape channels{1, space_.row[0], 1, 1};
    keeps_ = Tensor::from(keeps, channels);
    fills_ = Tensor::from(fills, channels);
  }

  AppliedProtection applied() const override { return {"duet", spec_.values(), {{"duet", fingerprint_}}}; }
  FeatureSpace out() const override { return space_; }
  std::vector<const Provenance*> networks() const override { return {&net_->provenance()}; }
  void check_never_saw(const std::vector<std::string>& identities) const override {
    net_->check_never_saw(identities);
  }

  ProtectedRows apply(const Tensor& features, std::span<const int64_t> records, const Tensor& /*photographs*/,
                      const Context& context) override {
    return protect_each(features, records, space_, context, "give a larger --hidden-share", filling());
  }
  Tensor apply_probe(const Tensor& features, std::span<const int64_t>) const override {
    return add(mul(features, keeps_.to(current_backend())), fills_.to(current_backend()));
  }

 private:
  FillRecord filling() const {
    return [this](int64_t, std::span<const float> feature, std::span<float> stored) {
      const size_t size = size_t(space_.row[1] * space_.row[2]);
      std::ranges::copy(feature, stored.begin());
      for (const size_t c : hidden_)
        std::ranges::fill(stored.subspan(c * size, size),
                          spec_.fill == DuetFill::mean ? net_->mean(c) : 0.0f);
    };
  }

  DuetSpec spec_;
  std::string fingerprint_;
  std::unique_ptr<ChannelEnergies> net_;
  FeatureSpace space_;
  std::vector<size_t> hidden_;
  Tensor keeps_, fills_;  // (1,C,1,1): a map times the one and the other is what is stored
};

// Mean square of each channel over these rows, from their moments.
std::vector<double> energies_of(const FeatureMoments& moments) {
  const std::vector<float> mean = moments.mean.to_vector<float>(),
                           deviation = moments.deviation.to_vector<float>();
  std::vector<double> energies;
  for (size_t c = 0; c < mean.size(); ++c)
    energies.push_back(double(mean[c]) * double(mean[c]) + double(deviation[c]) * double(deviation[c]));
  return energies;
}

}  // namespace

template <>
const std::vector<Choice<DuetFill>>& choices<DuetFill>() {
  static const std::vector<Choice<DuetFill>> list = {{DuetFill::zero, "zero"}, {DuetFill::mean, "mean"}};
  return list;
}

ChannelEnergies::ChannelEnergies(const Provenance& from, const Shape& map)
    : TrainedNetwork("duet"),
      from_(from),
      map_(map),
      energy_(Tensor::zeros({map[0]})),
      mean_(Tensor::zeros({map[0]})) {
  register_buffer("energy", energy_);
  register_buffer("mean", mean_);
  train(false);
}

std::unique_ptr<ChannelEnergies> ChannelEnergies::load(const std::string& path) {
  const BackendScope on_host(host_backend());
  NetworkFile file = load_network(path, kFormat, "a split of channels made by advface-train fit duet");
  const Shape map = metadata_shape(file.metadata, "map", path);
  check(map.rank() == 3 && map[0] >= 2, path, ": is for features of shape ", map,
        ", but a split takes maps of two channels or more; fit it again");
  auto net = std::make_unique<ChannelEnergies>(file.provenance, map);
  load_state_dict(*net, file.tensors, path);
  const bool floor = file.provenance.domain == FeatureDomain::non_negative;
  for (int64_t c = 0; c < map[0]; ++c) {
    const float energy = net->energy_.data<float>()[c], mean = net->mean_.data<float>()[c];
    check(std::isfinite(energy) && energy >= 0 && std::isfinite(mean) && (!floor || mean >= 0), path,
          ": channel ", c, " has energy ", energy, " and mean ", mean, ", which no map has; fit it again");
  }
  net->set_source(path);
  return net;
}

Metadata ChannelEnergies::description() const { return {{"format", kFormat}, {"map", shape_text(map_)}}; }

void ChannelEnergies::set(const Tensor& energy, const Tensor& mean) {
  check(energy.shape() == energy_.shape() && mean.shape() == mean_.shape(), "duet: energies of shape ",
        energy.shape(), " for ", energy_.shape());
  energy_ = energy.on_host();
  mean_ = mean.on_host();
}

std::vector<size_t> ChannelEnergies::strongest(size_t count) const {
  std::vector<size_t> order;
  order.resize(size_t(map_[0]));
  std::iota(order.begin(), order.end(), size_t(0));
  const float* energy = energy_.data<float>();
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return energy[a] > energy[b]; });
  order.resize(count);
  return order;
}

double ChannelEnergies::share(const std::vector<double>& energies, const std::vector<size_t>& channels) {
  double part = 0;
  for (const size_t c : channels) part += energies[c];
  const double all = std::accumulate(energies.begin(), energies.end(), 0.0);
  return all > 0 ? part / all : 0;
}

Settings DuetSpec::settings() {
  return {file_setting("duet", file, "what advface-train fit duet has written"),
          number_setting("hidden_share", hidden_share, {0, 1, true},
                         "share of the channels, those with the most energy, that are not stored"),
          choice_setting("duet_fill", fill, "what stands in their place: zero, or the channel's mean"),
          derived(whole_setting("hidden_channels", hidden_channels, {0, int64_t(1) << 30},
                                "channels that are not stored"))};
}

void DuetSpec::check_valid() const {
  check(hidden_share > 0 && hidden_share < 1, "the hidden share must lie between 0 and 1, not ",
        hidden_share);
  check(hidden_channels >= 0, "the number of hidden channels cannot be ", hidden_channels);
}

void DuetSpec::check_complete() const {
  check(!file.empty(), "the protection duet needs --duet FILE, which advface-train fit duet makes");
}

std::string DuetSpec::summary() const {
  std::ostringstream out;
  out.precision(4);
  out << "hidden share " << hidden_share;
  if (fill != DuetFill::zero) out << ", fill " << name_of(fill);
  return out.str();
}

std::unique_ptr<Protection> DuetSpec::make(const ProtectionInput& input) const {
  check_takes_maps(input.space.row, "duet", input.what);
  return std::make_unique<DuetProtection>(*this, input);
}

Metadata DuetFit::fit(const FitData& data, const std::string& path, const Context& context) const {
  const Shape& row = data.features.row();
  check_takes_maps(row, "duet", "the features");
  check(row[0] >= 2, "maps of shape ", row, " have one channel, of which nothing would be left");
  check(!data.train.empty(), "there is nobody to fit duet on");
  context.check_stop();
  const FeatureMoments moments = moments_of(data.features, data.train);
  const std::vector<double> energies = energies_of(moments);
  ChannelEnergies net(data.provenance, row);
  net.set(Tensor::from(std::vector<float>(energies.begin(), energies.end()), {row[0]}), moments.mean);
  net.save(path);
  Metadata measured{{"channels", std::to_string(row[0])}};
  const auto strongest = net.strongest(size_t(channels_of(DuetSpec().hidden_share, row[0])));
  if (!data.validation.empty()) {
    context.check_stop();
    measured["validation_energy_share"] = std::to_string(
        ChannelEnergies::share(energies_of(moments_of(data.features, data.validation)), strongest));
  }
  return measured;
}

}  // namespace advf
