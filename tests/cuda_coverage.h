// Tells the emulator what runs next; nothing on a real device. The file is chosen at link time.
#pragma once
#include <string>

namespace advf::test {

void label_launches(const std::string& label);

}  // namespace advf::test
