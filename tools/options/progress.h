// Progress of long work on stderr: a bar that redraws itself on a terminal, a plain line now and then
// elsewhere.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>

#include "advface/core/context.h"

namespace advf::tools {

std::string short_number(double value);      // four significant digits
std::string short_duration(double seconds);  // "1:05", "2:03:09"

class Progress : public ProgressLine {
 public:
  // total: units of work, e.g. 9000 "images"
  Progress(std::string what, int64_t total, std::string unit);
  ~Progress() override;  // an error in the middle of the work starts on a line of its own
  Progress(const Progress&) = delete;
  void advance(int64_t units, const std::string& detail = "") override;
  void finish() override;  // ends the line
  double seconds() const;

 private:
  void draw(const std::string& detail, bool last);
  using Clock = std::chrono::steady_clock;
  std::string what_, unit_, detail_;
  int64_t total_, done_ = 0;
  Clock::time_point start_, drawn_;
  bool terminal_, finished_ = false;
};

}  // namespace advf::tools
