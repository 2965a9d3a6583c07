#include "tools/options/part_progress.h"

#include <unistd.h>

#include <ctime>
#include <filesystem>

#include "tensor/io/atomic_file.h"
#include "tensor/io/process.h"

namespace advf::tools {
namespace {

constexpr double kInterval = 2;  // seconds between two writings

}  // namespace

PartProgress::PartProgress(const std::string& what, int64_t total, const std::string& unit,
                           const std::optional<FeaturePart>& part, const std::string& out)
    : line_(what, total, unit), path_(part ? out + kProgressEnding : "") {
  if (!part) return;
  told_ = {{"format", "advface-progress-1"},
           {"what", what},
           {"unit", unit},
           {"part", part->number},
           {"of", part->of},
           {"total", total},
           {"host", host_name()},
           {"process", int64_t(::getpid())}};
  remove_stale_temporaries(path_);
  tell("running");
}

PartProgress::~PartProgress() {
  if (path_.empty()) return;
  std::error_code none;
  if (finished_)
    std::filesystem::remove(path_, none);
  else
    tell("stopped");
}

void PartProgress::advance(int64_t units, const std::string& detail) {
  line_.advance(units, detail);
  done_ += units;
  if (!path_.empty() && std::chrono::duration<double>(Clock::now() - written_).count() >= kInterval)
    tell("running");
}

void PartProgress::finish() {
  line_.finish();
  finished_ = true;
}

void PartProgress::tell(const char* state) {
  written_ = Clock::now();
  told_.update(
      {{"state", state}, {"done", done_}, {"seconds", line_.seconds()}, {"at", int64_t(std::time(nullptr))}});
  try {
    AtomicFile file(path_);
    file.write(told_.dump() + "\n");
    file.commit();
  } catch (const Error&) {
    // The rows themselves will say what is wrong with the disk.
  }
}

}  // namespace advf::tools
