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
  std::string format;  // of its file, in the metadata; empty: it has none
  std::unique_ptr<Attacker> (*load)(const std::string& path);
  std::unique_ptr<Fit> (*fit)();  // in closed form; null where it is trained by gradients, or has no file
  std::unique_ptr<AttackerSpec> (*spec)() = nullptr;  // of one without a file
};

const std::vector<AttackerKind>& attackers();
// Loads what lies in the file. Throws Error naming it where that is none of these.
std::unique_ptr<Attacker> load_attacker(const std::string& path);
// Of an attacker without a file, KIND[:SETTING=VALUE,...]; null for a text that names none, which then is a
// file. Throws Error naming the setting that is not known or not valid.
std::unique_ptr<AttackerSpec> named_attacker(const std::string& text, uint64_t seed);
// [NAME=]WHAT, as --attacker has it; the name is empty where none is given.
struct AttackerText {
  std::string name, what;
};
AttackerText split_attacker(const std::string& text);

}  // namespace advf
