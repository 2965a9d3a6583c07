// W8: from raw photographs to features, as advface-extract --detector does it: read, decode, find the face,
// cut it out, recognise. Beside it each part alone, on all threads: what the whole could not be faster than
// is their sum, where a processor does them all.
#pragma once
#include <string>

#include "tools/bench/bench_report.h"

namespace advf::tools {

struct PhotographBenchOptions {
  std::string images, detector, recogniser;  // a folder, cards; without one of them the rows are skipped
};

// False: interrupted.
bool bench_photographs(const PhotographBenchOptions& options, int repeat, Report& report);

}  // namespace advf::tools
