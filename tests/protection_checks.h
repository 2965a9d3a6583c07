// What every protection must hold, as one function that walks the registry (test_protections) and that
// anybody who adds a protection can call.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "advface/protections/registry.h"

namespace advf::test {

// A protection ready to run, and features for it.
struct ProtectionScene {
  std::function<std::unique_ptr<Protection>()> make;
  Tensor features;          // (n, row), n at least 7, in host memory
  Tensor photographs = {};  // where it asks for them
  // Whether `stored` lies where the settings say that it must, beyond being a feature.
  std::function<bool(std::span<const float> feature, std::span<const float> stored)> within = {};
  bool needs_key = false;
};

// Each rule that is broken, in words; empty where all hold:
//  "shape", "domain"       what is stored is a feature of out()
//  "ball"                  and within the bound
//  "angle"                 and turned no further than guarantee() has it
//  "report"                the report is of this record and of this noise
//  "number"                a record's result follows its number, not its place
//  "draw"                  and its draw, too, where the protection says that it draws by the number, or else
//  not "company"               and not those that are protected with it, nor the order "threads" nor the
//  number of threads "again"                 and is the same in a second call, and of a second instance "bad
//  feature"           a feature that is none is refused, and named "id"                    applied() reads
//  back as itself, and knows where features end up "probe"                 a probe goes through on a tape
//  without values as it does with them
std::vector<std::string> broken_rules(const ProtectionScene& scene);

}  // namespace advf::test
