// A list of everything that is wrong with one file, so that its author reads all of it at once.
#pragma once
#include <sstream>
#include <string>
#include <vector>

#include "tensor/check.h"

namespace advf::onnx {

class Problems {
 public:
  template <class... Parts>
  void add(const Parts&... parts) {
    if (++count_ > kShown) return;
    std::ostringstream text;
    (text << ... << parts);
    shown_.push_back(text.str());
  }
  bool empty() const { return count_ == 0; }
  // Throws one Error with all of them.
  void throw_if_any(const std::string& source, const std::string& what) const {
    if (empty()) return;
    std::string text = source + ": " + what + ":";
    for (const std::string& line : shown_) text += "\n  - " + line;
    if (count_ > kShown) text += "\n  - and " + std::to_string(count_ - kShown) + " more";
    fail(text);
  }

 private:
  static constexpr size_t kShown = 64;
  size_t count_ = 0;
  std::vector<std::string> shown_;
};

}  // namespace advf::onnx
