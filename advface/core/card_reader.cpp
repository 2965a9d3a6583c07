#include "advface/core/card_reader.h"

#include "tensor/io/input_file.h"

namespace advf {

std::string read_card_text(const std::string& path) {
  constexpr uint64_t kMaxBytes = 1 << 20;
  const std::vector<std::byte> bytes = read_file(path, kMaxBytes);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace advf
