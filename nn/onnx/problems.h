// A list of everything that is wrong with one file, so that its author reads all of it at once.
#pragma once
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "tensor/check.h"

namespace advf::onnx {

// Of tensors and nodes alike, so that it makes one line.
inline constexpr const char* kIsQuantised =
    "is quantised, which is not read; export it in float32 or float16";

class Problems {
 public:
  template <class... Parts>
  void add(const Parts&... parts) {
    std::ostringstream text;
    (text << ... << parts);
    add_of("", text.str());
  }
  // What is wrong with one of many things; the same about others adds to its line.
  void add_of(const std::string& who, const std::string& what) {
    const auto found = who.empty() ? lines_.end() : lines_.find(what);
    if (found != lines_.end()) {
      ++shown_[found->second].others;
      return;
    }
    if (++count_ > kShown) return;
    if (!who.empty()) lines_.emplace(what, shown_.size());
    shown_.push_back({who, what, 0});
  }
  bool empty() const { return count_ == 0; }
  // Throws one Error with all of them.
  void throw_if_any(const std::string& source, const std::string& what) const {
    if (empty()) return;
    std::string text = source + ": " + what + ":";
    for (const Line& line : shown_) {
      text += "\n  - " + line.who + (line.who.empty() ? "" : " ");
      if (line.others > 0) text += "(and " + std::to_string(line.others) + " more) ";
      text += line.what;
    }
    if (count_ > kShown) text += "\n  - and " + std::to_string(count_ - kShown) + " more";
    fail(text);
  }

 private:
  static constexpr size_t kShown = 64;
  struct Line {
    std::string who, what;
    size_t others = 0;
  };
  size_t count_ = 0;
  std::vector<Line> shown_;
  std::map<std::string, size_t> lines_;  // by what is wrong
};

}  // namespace advf::onnx
