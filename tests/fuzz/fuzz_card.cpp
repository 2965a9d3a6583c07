// Any text as a recogniser's card, and as a detector's: an Error or a card.
#include <cstddef>
#include <cstdint>

#include "advface/core/recogniser.h"
#include "advface/detect/detector_card.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    advf::parse_card(text, "fuzz.json");
  } catch (const advf::Error&) {
  }
  try {
    advf::parse_detector_card(text, "fuzz.json");
  } catch (const advf::Error&) {
  }
  return 0;
}
