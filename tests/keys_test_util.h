// A key whose bytes everybody knows, for tests.
#pragma once
#include <sys/stat.h>

#include <string>

#include "file_test_util.h"

namespace advf::test {

inline std::string known_key_file() {
  return "advface-key-1\nid 0001020304050607\ndate 2025-01-31T12:00:00Z\n"
         "key 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
         "check 8bbcc1a137a25a392f898be897ba4618\n";
}

inline std::string key_file(const TempDir& dir, const std::string& text = known_key_file(),
                            mode_t mode = 0600) {
  const std::string path = dir / "key";
  write_bytes(path, text);
  chmod(path.c_str(), mode);
  return path;
}

}  // namespace advf::test
