// The resident `decoder`: a network trained to turn features into faces (advface/networks/decoder.h).
#pragma once
#include <memory>
#include <string>

#include "advface/attackers/attacker.h"

namespace advf {

std::unique_ptr<Attacker> load_decoder_attacker(const std::string& path);

}  // namespace advf
