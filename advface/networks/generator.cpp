#include "advface/networks/generator.h"

#include <algorithm>

#include "nn/nets/net_metadata.h"

namespace advf {
namespace {

constexpr const char* kFormat = "advface-generator-1";

// What of the settings is a generator's own. In the file they stand as plain text.
const char* const kOwn[] = {"epsilon", "objective", "loss", "norm", "bn", "ensemble"};

bool is_own(const Setting& s) {
  return std::find(std::begin(kOwn), std::end(kOwn), s.name) != std::end(kOwn);
}

Metadata settings_metadata(AscentSettings settings) {
  Metadata metadata;
  for (const Setting& s : settings.list())
    if (is_own(s)) metadata[s.name] = s.text();
  return metadata;
}

AscentSettings trained_settings(const Metadata& metadata, const std::string& source) {
  AscentSettings settings;
  try {
    for (const Setting& s : settings.list())
      if (is_own(s)) s.read(metadata_text(metadata, s.name, source));
    settings.check_valid();
  } catch (const Error& e) {
    const std::string_view why = e.what();
    fail(why.starts_with(source) ? "" : source + ": ", why);
  }
  return settings;
}

}  // namespace

Generator::Generator(const GeneratorInfo& info, uint64_t seed)
    : TrainedNetwork("generator"), info_(info), net_(info.spec, seed) {
  info_.settings.check_valid();
  check(info_.spec.out == 0, "a generator's noise has the feature's shape, not ", info_.spec.out, " numbers");
  check(info_.settings.batch_norm != BatchNormMode::batch,
        "a generator's noise is each record's own; it does not go with batch norm by the batch");
  register_child("net", net_);
}

std::unique_ptr<Generator> Generator::load(const std::string& path) {
  NetworkFile file = load_network(path, kFormat, "a generator made by advface-train");
  const GeneratorInfo info{std::move(file.provenance), FeatureNetSpec::from_metadata(file.metadata, path),
                           trained_settings(file.metadata, path)};
  auto generator = std::make_unique<Generator>(info, 0);
  load_state_dict(*generator, file.tensors, path);
  generator->set_source(path);
  generator->train(false);
  return generator;
}

Metadata Generator::description() const {
  Metadata metadata = info_.spec.to_metadata();
  metadata.merge(settings_metadata(info_.settings));
  metadata["format"] = kFormat;
  return metadata;
}

NoiseSpace Generator::space() const {
  NoiseSpace space{info_.domain, info_.settings.norm, info_.settings.radius(info_.spec.feature), {}};
  if (info_.spec.feature.rank() == 3) space.scale = net_.deviation().view({1, info_.spec.feature[0], 1, 1});
  return space;
}

Tensor Generator::noise(const Tensor& features) const {
  const NoiseSpace ball = space();
  return project(ball, features, squashed(ball, net_.forward(features)));
}

void Generator::check_domain(FeatureDomain domain, const std::string& what) const {
  check(domain == info_.domain, "the features of ", what, " have the domain ", name_of(domain),
        ", but the generator ", source(), " was trained for ", name_of(info_.domain));
}

}  // namespace advf
