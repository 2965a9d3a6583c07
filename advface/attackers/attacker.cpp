#include "advface/attackers/attacker.h"

#include <numeric>

namespace advf {

FeatureSpace AttackerInput::stored_space() const {
  if (through) return through->out();
  return {recogniser->feature_shape(cut), recogniser->domain(cut)};
}

Tensor AttackerInput::probes_of(const Tensor& images) const {
  const Tensor features = recogniser->features(recogniser->preprocess(images), cut);
  if (!through) return features;
  // Without a key all records are treated alike.
  check(!through->needs_key(), "an attacker was given a key");
  std::vector<int64_t> records(size_t(images.dim(0)));
  std::iota(records.begin(), records.end(), int64_t(0));
  return through->apply_probe(features, records);
}

void AttackerInput::check_same_source(const Provenance& from, const std::string& path) const {
  check(from.recogniser == recogniser->fingerprint() && from.cut == cut, path,
        ": is for features of the recogniser ", from.recogniser, " at ", from.cut, ", but these are of ",
        recogniser->fingerprint(), " at ", cut);
}

std::shared_ptr<const Decoder> decoder_for(const std::string& path, const AttackerInput& input) {
  std::shared_ptr<const Decoder> decoder = Decoder::load(path);
  input.check_same_source(decoder->provenance(), path);
  return decoder;
}

Metadata told_settings(AttackerSpec& spec) {
  const Settings settings = spec.settings();
  Metadata list = values_of(settings);
  for (const Setting& s : settings)
    if (s.paths)
      for (const std::string& path : s.paths()) list[s.name] = "\"" + file_fingerprint(path) + "\"";
  return list;
}

}  // namespace advf
