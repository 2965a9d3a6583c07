#include "advface/networks/attribute_probe.h"

#include "advface/core/text_file.h"
#include "tensor/ops.h"

namespace advf {
namespace {

constexpr const char *kFormat = "advface-probe-1", *kWhat = "a probe made by advface-train probe";

ProbeInfo with_outputs(ProbeInfo info) {
  check(!info.attributes.empty(), "a probe of no attribute");
  info.spec.out = 2 * int(info.attributes.size());
  return info;
}

}  // namespace

AttributeProbe::AttributeProbe(ProbeInfo info, uint64_t seed)
    : TrainedNetwork("probe"), info_(with_outputs(std::move(info))), net_(info_.spec, seed) {
  register_child("net", net_);
}

std::unique_ptr<AttributeProbe> AttributeProbe::load(const std::string& path) {
  NetworkFile file = load_network(path, kFormat, kWhat);
  ProbeInfo info{std::move(file.provenance), FeatureNetSpec::from_metadata(file.metadata, path), {}};
  const auto names = file.metadata.find("attributes");
  check(names != file.metadata.end(), path, ": its metadata have no \"attributes\"");
  info.attributes = parse_names(names->second, path);
  check(info.spec.out == 2 * int64_t(info.attributes.size()), path, ": ", info.spec.out, " numbers for ",
        info.attributes.size(), " attributes, not two for each");
  auto probe = std::make_unique<AttributeProbe>(std::move(info), 0);
  load_state_dict(*probe, file.tensors, path);
  probe->set_source(path);
  probe->train(false);
  return probe;
}

Metadata AttributeProbe::description() const {
  Metadata metadata = info_.spec.to_metadata();
  metadata["format"] = kFormat;
  metadata["attributes"] = names_text(info_.attributes);
  return metadata;
}

Tensor AttributeProbe::classes(const Tensor& features, size_t a) const {
  return slice(net_.forward(features), 1, int64_t(2 * a), int64_t(2 * a + 2));
}

Tensor AttributeProbe::forward(const Tensor& features) const {
  const Tensor y = net_.forward(features);
  std::vector<Tensor> odds;
  for (int64_t a = 0; a < int64_t(info_.attributes.size()); ++a)
    odds.push_back(sub(slice(y, 1, 2 * a + 1, 2 * a + 2), slice(y, 1, 2 * a, 2 * a + 1)));
  return odds.size() == 1 ? odds[0] : concat(odds, 1);
}

Tensor AttributeShadow::reference(const Tensor& z) const { return probe_->forward(z); }

Tensor AttributeShadow::loss(const Tensor& x, const Tensor& /*reference*/) const {
  return affine(mean(power(probe_->forward(x), 2), {1}, false), -1, 0);
}

}  // namespace advf
