#include "cuda/emulator/emulator.h"
#include "cuda_coverage.h"

namespace advf::test {

void label_launches(const std::string& label) { cuda::emulator::label_launches(label); }

}  // namespace advf::test
