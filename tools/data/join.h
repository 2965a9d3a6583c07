// Parts of one run (tools/options/part.h) put together.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

namespace advf::tools {

// OUT.npy and what lies beside it (the list of its files, of faces, of pictures without one) from
// OUT.1-of-N.npy to OUT.N-of-N.npy: the bits of a run in one piece. All appear, or none; the parts stay.
// Throws Error naming the parts that are missing, and those that are of another run: of other settings,
// another seed, or another input.
nlohmann::json join_parts(const std::string& out);

}  // namespace advf::tools
