// What privacy costs, as curves: of each leak and measure the protections of a report.
#pragma once
#include <nlohmann/json.hpp>
#include <vector>

#include "tensor/io/plot.h"

namespace advf::tools {

// A point is a protection: accuracy of recognition (%), and what the strongest attacker who counts learns.
// Measures of which nobody who counts says anything have no curve.
std::vector<Plot> privacy_curves(const nlohmann::json& report);

}  // namespace advf::tools
