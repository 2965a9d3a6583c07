#include "devices.h"

namespace advf::test {

std::vector<const char*> devices_under_test() { return {"reference", "cpu"}; }
void note_sample(const std::string&) {}

}  // namespace advf::test
