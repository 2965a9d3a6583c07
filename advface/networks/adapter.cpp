#include "advface/networks/adapter.h"

#include "advface/protections/ascent/noise.h"
#include "tensor/ops.h"

namespace advf {
namespace {
constexpr const char* kFormat = "advface-adapter-1";
}

Adapter::Adapter(const AdapterInfo& info, uint64_t seed)
    : TrainedNetwork("adapter"), info_(info), net_(info.spec, seed) {
  register_child("net", net_);
  net_.silence();
}

std::unique_ptr<Adapter> Adapter::load(const std::string& path) {
  NetworkFile file = load_network(path, kFormat, "an adapter made by advface-train");
  const AdapterInfo info{std::move(file.provenance), FeatureNetSpec::from_metadata(file.metadata, path)};
  auto adapter = std::make_unique<Adapter>(info, 0);
  load_state_dict(*adapter, file.tensors, path);
  adapter->set_source(path);
  adapter->train(false);
  return adapter;
}

Metadata Adapter::description() const {
  Metadata metadata = info_.spec.to_metadata();
  metadata["format"] = kFormat;
  return metadata;
}

Tensor Adapter::forward(const Tensor& features) const {
  return into_domain(info_.domain, add(features, net_.in_input_units(net_.forward(features))));
}

void Adapter::check_trained_on(const ProtectionId& protection) const {
  check(info_.protection.is_like(protection), "the adapter ", source(), " was trained on other features (",
        info_.protection.describe(), ") than these (", protection.describe(),
        "): ", info_.protection.difference(protection), "; take what it was trained with, or train it again");
}

}  // namespace advf
