#include "cuda_coverage.h"

namespace advf::test {

void label_launches(const std::string&) {}

}  // namespace advf::test
