// Rows of advface-bench that measure whole workloads: eager execution against plans, in turns.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

namespace advf::tools {

struct Machine {
  double peak_flops = 0, copy_bytes_per_s = 0;  // as measured in this run
};

// Prints the rows whose name contains `filter` and returns them. `repeat` turns of eager and planned each.
nlohmann::json bench_plans(const Machine& machine, const std::string& filter, int repeat);

}  // namespace advf::tools
