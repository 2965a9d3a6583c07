#include "advface/attackers/attacker.h"

namespace advf {

FeatureSpace AttackerInput::stored_space() const {
  if (through) return through->out();
  return {recogniser->feature_shape(cut), recogniser->domain(cut)};
}

std::shared_ptr<const Decoder> decoder_for(const std::string& path, const AttackerInput& input) {
  std::shared_ptr<const Decoder> decoder = Decoder::load(path);
  const Provenance& from = decoder->provenance();
  check(from.recogniser == input.recogniser->fingerprint() && from.cut == input.cut, path,
        ": is for features of the recogniser ", from.recogniser, " at ", from.cut, ", but these are of ",
        input.recogniser->fingerprint(), " at ", input.cut);
  return decoder;
}

}  // namespace advf
