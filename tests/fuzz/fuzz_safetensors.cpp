// Arbitrary bytes as a safetensors file.
#include "fuzz.h"
#include "tensor/io/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return advf::fuzz(data, size, [](auto bytes) { advf::parse_safetensors(bytes, "fuzz"); });
}
