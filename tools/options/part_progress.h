// How far a part of a run is (tools/options/part.h), for people who look at all parts from one place: beside
// its output lies FILE.progress, written anew every few seconds, until the output is there. advface-inspect
// --progress reads them.
#pragma once
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "advface/core/feature_file.h"
#include "tools/options/progress.h"

namespace advf::tools {

inline constexpr const char* kProgressEnding = ".progress";

// A line on stderr as Progress has it, and of a part its file. What cannot be written there is left: nobody's
// work ends over it.
class PartProgress : public ProgressLine {
 public:
  // total: units of work of this part. out: where its rows go. part: nothing for the whole, which has no
  // file.
  PartProgress(const std::string& what, int64_t total, const std::string& unit,
               const std::optional<FeaturePart>& part, const std::string& out);
  // The file goes where the work was finished, and else says that it stopped.
  ~PartProgress() override;
  void advance(int64_t units, const std::string& detail = "") override;
  void finish() override;
  double seconds() const { return line_.seconds(); }

 private:
  void tell(const char* state);
  using Clock = std::chrono::steady_clock;
  Progress line_;
  nlohmann::json told_;
  std::string path_;  // empty: no file
  int64_t done_ = 0;
  Clock::time_point written_;
  bool finished_ = false;
};

}  // namespace advf::tools
