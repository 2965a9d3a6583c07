// The attackers that there are, a row each.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "advface/attackers/attacker.h"
#include "advface/core/fit.h"

namespace advf {

struct AttackerKind {
  std::string name;
  std::string help;    // a line: what it does
  std::string format;  // of its file, in the metadata
  std::unique_ptr<Attacker> (*load)(const std::string& path);
  std::unique_ptr<Fit> (*fit)();  // in closed form; null where it is trained by gradients
};

const std::vector<AttackerKind>& attackers();
// Loads what lies in the file. Throws Error naming it where that is none of these.
std::unique_ptr<Attacker> load_attacker(const std::string& path);

}  // namespace advf
