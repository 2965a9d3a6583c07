#include "advface/core/card_reader.h"

#include "advface/core/text_file.h"
#include "tensor/io/input_file.h"

namespace advf {

nlohmann::json parse_card_json(const std::string& text, const std::string& path) {
  check_utf8(text, path);
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& e) {
    fail(path, ": not valid JSON: ", e.what());
  }
}

std::string read_card_text(const std::string& path) {
  constexpr uint64_t kMaxBytes = 1 << 20;
  const std::vector<std::byte> bytes = read_file(path, kMaxBytes);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace advf
