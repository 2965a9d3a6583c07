// W6 of advface-bench: protecting features with the 64x64 decoder, 20 steps.
//   W6 eager, W6 plan                  calls in this process: of an Ascent, and of the same loop op by op
//   W6 plans alone                     what those calls run, without the work around it
//   W6 10 at a time, W6 200 at a time  iterations of the plan alone
//   W6 program   advface-protect as a user runs it, from its start to its end, on 200 and 5,000 features,
//                beside the plan's own rate; and its memory with 1,000,000 features
#pragma once
#include <string>

#include "tools/bench/bench_report.h"

namespace advf::tools {

struct ProtectBenchOptions {
  std::string scratch;  // folder for the program's files; empty: its rows say that they are skipped
  int repeat = 15;
  int threads = 0;  // of the program
};
// False: interrupted.
bool bench_protect(const ProtectBenchOptions& options, Report& report);

}  // namespace advf::tools
