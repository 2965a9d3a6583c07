// Any bytes as the file of a key: an Error, or a key whose id and check value are what such files have. The
// way is that of Key::read() behind the file itself.
#include <string>

#include "advface/keys/key.h"
#include "fuzz.h"

namespace advf {
Key parse_key(std::span<const std::byte> text, const std::string& source);  // advface/keys/key_file.cpp
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return advf::fuzz(data, size, [](auto bytes) {
    const advf::Key key = advf::parse_key(bytes, "fuzz");
    const advf::KeyInfo& info = key.info();
    for (const std::string& text : {info.id, info.check})
      if (text.empty() || text.find_first_not_of("0123456789abcdef") != std::string::npos) std::abort();
    for (char c : info.date)
      if (c <= ' ' || c > '~') std::abort();
  });
}
