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

std::shared_ptr<const Decoder> decoder_for(const std::string& path, const AttackerInput& input) {
  std::shared_ptr<const Decoder> decoder = Decoder::load(path);
  const Provenance& from = decoder->provenance();
  check(from.recogniser == input.recogniser->fingerprint() && from.cut == input.cut, path,
        ": is for features of the recogniser ", from.recogniser, " at ", from.cut, ", but these are of ",
        input.recogniser->fingerprint(), " at ", input.cut);
  return decoder;
}

Metadata told_settings(AttackerSpec& spec, const std::string& decoder) {
  Metadata list = values_of(spec.settings());
  if (!decoder.empty()) list["decoder"] = "\"" + file_fingerprint(decoder) + "\"";
  return list;
}

}  // namespace advf
