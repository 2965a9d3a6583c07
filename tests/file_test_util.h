// For tests of files: a folder that is removed at the end, whole files as strings, expected errors, and the
// truncations and bit flips that every parser must survive.
#pragma once
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "tensor/check.h"
#include "tensor/rng.h"

namespace advf::test {

class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "advf-test-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder: " + pattern);
    path_ = pattern;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  const std::filesystem::path& path() const { return path_; }
  size_t count() const {
    return size_t(
        std::distance(std::filesystem::directory_iterator(path_), std::filesystem::directory_iterator{}));
  }

 private:
  std::filesystem::path path_;
};

inline std::string read_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_bytes(const std::string& path, const std::string& bytes) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

inline std::span<const std::byte> bytes_of(const std::string& s) {
  return std::as_bytes(std::span(s.data(), s.size()));
}

// The call throws Error with all these words in its message.
inline void refused(const std::function<void()>& call, const std::vector<std::string>& words) {
  try {
    call();
    BOOST_ERROR("accepted; expected an error with \"" << words[0] << "\"");
  } catch (const Error& e) {
    for (const std::string& word : words)
      BOOST_TEST(std::string(e.what()).find(word) != std::string::npos,
                 "\"" << e.what() << "\" lacks \"" << word << '"');
  }
}

// Every prefix and many flipped bytes: either accepted or an Error, never anything else (ASan watches).
// Returns how many were accepted.
inline int survive(const std::string& good, const std::function<void(const std::string&)>& parse,
                   size_t flips) {
  int accepted = 0;
  const auto attempt = [&](const std::string& bytes) {
    try {
      parse(bytes);
      ++accepted;
    } catch (const Error&) {
    }
  };
  for (size_t n = 0; n < good.size(); n += 1 + good.size() / 1500) attempt(good.substr(0, n));
  const Philox rng{11, good.size()};
  for (size_t i = 0; i < flips; ++i) {
    std::string bad = good;
    for (uint64_t k = 0; k <= rng.below(3 * i, 3); ++k)
      bad[rng.below(7919 * i + 2 * k + 1, bad.size())] = char(rng.bits(4 * (104729 * i + k)));
    attempt(bad);
  }
  return accepted;
}

// An EXIF block whose first directory holds two entries, the second the orientation.
inline std::string exif(int orientation, bool little, uint32_t type = 3) {
  std::string out = little ? "II" : "MM";
  const auto add = [&](uint32_t v, int bytes) {
    for (int i = 0; i < bytes; ++i) out += char(v >> 8 * (little ? i : bytes - 1 - i));
  };
  for (const auto& [v, bytes] :
       {std::pair(42u, 2), {8, 4}, {2, 2}, {0x0100, 2}, {3, 2}, {1, 4}, {7, 2}, {0, 2}})
    add(v, bytes);
  add(0x0112, 2), add(type, 2), add(1, 4);
  add(uint32_t(orientation), type == 3 ? 2 : 4);
  if (type == 3) add(0, 2);
  add(0, 4);
  return out;
}

// A chunk before the pixels, or behind them; nobody looks at its checksum.
inline std::string in_png(std::string png, const std::string& body, bool behind) {
  std::string chunk{0, 0, 0, char(body.size())};
  chunk += "eXIf" + body + "sum.";
  return png.insert(behind ? png.size() - 12 : 8 + 25, chunk);
}

}  // namespace advf::test
