// W7: what a lock costs. Vectors of 512 values turned under a key, per record (exact, fast) and for a whole
// set; and the two parts that an exact rotation cannot be faster than, its stream and its normals. With
// --threads 1: of a core.
#pragma once
#include "tools/bench/bench_report.h"

namespace advf::tools {

// False: interrupted.
bool bench_rotation(int repeat, Report& report);

}  // namespace advf::tools
