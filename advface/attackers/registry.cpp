#include "advface/attackers/registry.h"

#include "advface/attackers/decoder_attacker.h"
#include "nn/state_dict.h"
#include "tensor/io/safetensors.h"

namespace advf {

const std::vector<AttackerKind>& attackers() {
  static const std::vector<AttackerKind> rows{
      {"decoder", "a network trained to turn features into faces", "advface-decoder-1", load_decoder_attacker,
       nullptr},
  };
  return rows;
}

std::unique_ptr<Attacker> load_attacker(const std::string& path) {
  const Metadata metadata = load_safetensors(path).metadata;
  const auto format = metadata.find("format");
  std::string known;
  for (const AttackerKind& kind : attackers()) {
    if (format != metadata.end() && format->second == kind.format) return kind.load(path);
    known += (known.empty() ? "" : ", ") + kind.format;
  }
  fail(path, ": not an attacker: its metadata have ",
       format == metadata.end() ? "no \"format\"" : "the \"format\" \"" + format->second + "\"",
       "; known are ", known);
}

}  // namespace advf
