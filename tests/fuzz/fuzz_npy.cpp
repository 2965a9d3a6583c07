// Arbitrary bytes as a npy file.
#include "fuzz.h"
#include "tensor/io/npy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return advf::fuzz(data, size, [](auto bytes) { advf::parse_npy(bytes, "fuzz"); });
}
