// W9: 1:N, the ten nearest of 200,000 stored vectors of 512, for batches of probes.
#pragma once
#include "tools/bench/bench_report.h"

namespace advf::tools {

// False: interrupted.
bool bench_nearest(int repeat, Report& report);

}  // namespace advf::tools
