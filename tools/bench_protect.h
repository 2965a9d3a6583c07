// W6 of advface-bench: protecting features with the 64x64 decoder, 20 steps. `W6 eager` and `W6 plan` are
// calls in this process: of a Protector, and of the same loop op by op.
#pragma once
#include "tools/bench_report.h"

namespace advf::tools {

// False: interrupted.
bool bench_protect_calls(int repeat, Report& report);

}  // namespace advf::tools
