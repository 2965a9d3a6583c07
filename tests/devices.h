// Which backends a suite runs on. The suites of the op table are linked twice: with devices_host.cpp, and,
// where the build has CUDA, with devices_cuda.cpp.
#pragma once
#include <string>
#include <vector>

namespace advf::test {

std::vector<const char*> devices_under_test();
// What runs next, for the coverage that the emulator keeps.
void note_sample(const std::string& name);

}  // namespace advf::test
