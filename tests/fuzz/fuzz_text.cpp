// Arbitrary text after one letter that chooses the parser: c = labels (CSV), p = pairs, n = list of names, t
// = table (CSV), l = landmarks (CSV).
#include "advface/core/dataset.h"
#include "advface/core/text_file.h"
#include "advface/detect/landmark_file.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return advf::fuzz(data, size, [](auto bytes) {
    if (bytes.empty()) return;
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + 1, bytes.size() - 1);
    switch (char(bytes[0])) {
      case 'c':
        advf::split_by_identity(advf::parse_labels(text, "fuzz"), 1);
        break;
      case 'p':
        advf::parse_pairs(text, "fuzz");
        break;
      case 'n':
        advf::parse_name_list(text, "fuzz");
        break;
      case 't':
        advf::parse_table(text, "fuzz");
        break;
      case 'l':
        advf::parse_landmarks(text, "fuzz");
        break;
      default:
        break;
    }
  });
}
