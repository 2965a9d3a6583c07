#include "tools/options/progress.h"

#include <unistd.h>

#include <cmath>
#include <cstdio>

namespace advf::tools {
namespace {
constexpr double kTerminalInterval = 0.1, kPlainInterval = 10;  // seconds between two drawings
constexpr int kBarWidth = 24;
}  // namespace

std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

std::string short_duration(double seconds) {
  const int64_t s = int64_t(std::llround(std::max(0.0, seconds)));
  char text[32];
  if (s >= 3600)
    std::snprintf(text, sizeof text, "%d:%02d:%02d", int(s / 3600), int(s / 60 % 60), int(s % 60));
  else
    std::snprintf(text, sizeof text, "%d:%02d", int(s / 60), int(s % 60));
  return text;
}

Progress::Progress(std::string what, int64_t total, std::string unit)
    : what_(std::move(what)),
      unit_(std::move(unit)),
      total_(total),
      start_(Clock::now()),
      drawn_(start_),
      terminal_(::isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  if (terminal_ && !finished_ && drawn_ != start_) std::fputc('\n', stderr);
}

double Progress::seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

void Progress::advance(int64_t units, const std::string& detail) {
  done_ += units;
  detail_ = detail;
  const double since = std::chrono::duration<double>(Clock::now() - drawn_).count();
  if (since >= (terminal_ ? kTerminalInterval : kPlainInterval)) draw(detail, false);
}

void Progress::finish() {
  if (finished_) return;
  finished_ = true;
  draw(detail_, true);
}

void Progress::draw(const std::string& detail, bool last) {
  drawn_ = Clock::now();
  const double elapsed = seconds(), rate = elapsed > 0 ? double(done_) / elapsed : 0;
  const double share = total_ > 0 ? std::min(1.0, double(done_) / double(total_)) : 1;
  std::string bar;
  if (terminal_) {
    const int full = int(share * kBarWidth);
    bar = "[" + std::string(size_t(full), '=') + std::string(size_t(kBarWidth - full), ' ') + "] ";
  }
  const std::string time = last ? "took " + short_duration(elapsed)
                                : short_duration(rate > 0 ? double(total_ - done_) / rate : 0) + " left";
  std::fprintf(stderr, "%s%s %s%3d%% %lld/%lld %s, %s/s, %s%s%s%s", terminal_ ? "\r\033[K" : "",
               what_.c_str(), bar.c_str(), int(share * 100), static_cast<long long>(done_),
               static_cast<long long>(total_), unit_.c_str(), short_number(rate).c_str(), time.c_str(),
               detail.empty() ? "" : ", ", detail.c_str(), terminal_ && !last ? "" : "\n");
  std::fflush(stderr);
}

}  // namespace advf::tools
