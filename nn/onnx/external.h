// The data that an ONNX model keeps in files beside it, as exporters do by default for large networks.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace advf::onnx {

// Reads nothing but regular files in the model's folder or below it, each once.
class ExternalData {
 public:
  // Without a folder there is none: every read() is an error that says so. most_bytes: of all files together.
  ExternalData(std::string folder, uint64_t most_bytes)
      : folder_(std::move(folder)), bytes_left_(most_bytes) {}

  // Bytes [offset, offset + length) of a file; length 0 means up to its end. The view is valid as long as
  // this object lives. Throws Error naming the file and what to do.
  std::string_view read(const std::string& location, uint64_t offset, uint64_t length);
  // FNV-1a of the files read, with their lengths, in the order of their names, begun with `hash`; `hash`
  // where none was.
  uint64_t hash(uint64_t hash) const;

 private:
  const std::vector<std::byte>& file(const std::string& location);

  std::string folder_;
  std::map<std::string, std::vector<std::byte>> files_;  // by path from the folder, without detours
  uint64_t bytes_left_;
};

}  // namespace advf::onnx
