// Reading regular files: the size is known before anything is allocated, and a file that shrinks meanwhile is
// an error and not a signal (which is why nothing is memory-mapped). Pipes, folders and devices are refused.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace advf {

class InputFile {
 public:
  explicit InputFile(std::string path);  // throws Error naming the path and the reason
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }  // bytes, when it was opened
  // Exactly `bytes` bytes from `offset`, from any thread; throws Error where the file ends before.
  void read_at(uint64_t offset, void* out, size_t bytes) const;

 private:
  std::string path_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

// The whole file; throws Error where it is larger than max_bytes.
std::vector<std::byte> read_file(const std::string& path, uint64_t max_bytes);

}  // namespace advf
