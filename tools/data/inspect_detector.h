// advface-inspect on a detector's card: what it says, and what the detector sees in a picture.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

namespace advf::tools {

// picture: to look at, and where to draw what was found; both empty: the card alone.
nlohmann::json inspect_detector(const std::string& card, const std::string& picture,
                                const std::string& drawn);
void print_detector(const nlohmann::json& result, const std::string& file);

}  // namespace advf::tools
