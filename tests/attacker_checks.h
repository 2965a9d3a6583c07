// What every attacker must hold, as one function that walks the registry (test_attackers) and that anybody
// who adds an attacker can call.
#pragma once
#include <string>
#include <vector>

#include "advface/attackers/attacker.h"

namespace advf::test {

// Each rule of attacker.h that is broken, in words; empty where all hold. features: raw ones (n, row), n
// above 8, that it was trained on if it was; faces: what they were made of, of its size; person: one it was
// trained on, empty for one that has seen nobody; recogniser: whose embeddings the features are.
//  "shape", "range"    images of its size with values in [0,1]
//  "rows"              an image depends on its feature alone
//  "threads", "again"  and is the same at any number of threads, and in a second call
//  "chance"            on these features it is closer than the mean face, in pixels or to the recogniser
//  "people"            it knows whom it was trained on
std::vector<std::string> broken_rules(const Attacker& attacker, const Tensor& features, const Tensor& faces,
                                      const std::string& person, const Recogniser& recogniser);

}  // namespace advf::test
