#include "advface/networks/adapter.h"

#include "advface/protections/ascent/noise.h"
#include "tensor/ops.h"

namespace advf {
namespace {
constexpr const char* kFormat = "advface-adapter-1";
}

Adapter::Adapter(const AdapterInfo& info, uint64_t seed) : info_(info), net_(info.spec, seed) {
  register_child("net", net_);
  net_.silence();
}

std::unique_ptr<Adapter> Adapter::load(const std::string& path) {
  NetworkFile file = load_network(path, kFormat, "an adapter made by advface-train");
  const AdapterInfo info{std::move(file.provenance), FeatureNetSpec::from_metadata(file.metadata, path)};
  auto adapter = std::make_unique<Adapter>(info, 0);
  load_state_dict(*adapter, file.tensors, path);
  adapter->source_ = path;
  adapter->train(false);
  return adapter;
}

void Adapter::save(const std::string& path) const {
  Metadata description = info_.spec.to_metadata();
  description["format"] = kFormat;
  save_network(path, *this, info_, std::move(description));
}

Tensor Adapter::forward(const Tensor& features) const {
  return into_domain(info_.domain, add(features, net_.in_input_units(net_.forward(features))));
}

void Adapter::check_fits(const Shape& row, const std::string& fingerprint, const std::string& cut,
                         const std::string& what) const {
  check_takes(info_, info_.spec.feature, "the adapter " + source_, row, fingerprint, cut, what);
}

void Adapter::check_never_saw(const std::vector<std::string>& identities) const {
  advf::check_never_saw(info_, source_, identities);
}

void Adapter::check_trained_on(const ProtectionId& protection) const {
  check(info_.protection.is_like(protection), "the adapter ", source_, " was trained on other features (",
        info_.protection.describe(), ") than these (", protection.describe(),
        "): ", info_.protection.difference(protection), "; take what it was trained with, or train it again");
}

}  // namespace advf
