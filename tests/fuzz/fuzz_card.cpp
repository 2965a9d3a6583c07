// Any text as a recogniser's card: an Error or a card.
#include <cstddef>
#include <cstdint>

#include "advface/core/recogniser.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    advf::parse_card({reinterpret_cast<const char*>(data), size}, "fuzz.json");
  } catch (const advf::Error&) {
  }
  return 0;
}
