// Runs the steps of an audit as processes of their own, one after the other, in a folder where every result
// stands under the hash of what it depends on: what is there is not made again, what was cut off goes on, and
// several calls, also on several machines, may share the folder. A step that fails takes only those with it
// that need it.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "advface/core/context.h"
#include "tools/audit/audit_plan.h"

namespace advf::tools {

struct StepResult {
  std::string folder;
  double seconds = 0;
  int64_t peak_memory = 0;  // bytes
};

class StepRunner {
 public:
  // cache: made where it is not there. programs: the folder with advface-train and the others. threads: of
  // each step; 0: all. Throws Error where the cache cannot be written.
  StepRunner(const AuditPlan& plan, std::string cache, std::string programs, int threads);

  // Of a step that is done; nothing of others.
  std::optional<StepResult> result(int64_t step) const;
  std::vector<std::string> command(int64_t step) const;  // the program's whole path first
  std::string folder(int64_t step) const;

  // All that these pairs need. Throws Interrupted where the context says so; the running step has saved by
  // then what it can go on from. What failed is told and kept in failures().
  void run(const std::vector<int64_t>& pairs, const Context& context);
  const std::map<int64_t, std::string>& failures() const { return failures_; }  // by step

 private:
  void execute(int64_t step, const std::function<void(const std::string&)>& show, const Context& context);
  void make_keys() const;

  const AuditPlan& plan_;
  std::string cache_, programs_;
  int threads_;
  std::map<int64_t, std::string> failures_;
  mutable std::map<int64_t, bool> sound_;  // of steps that were looked at
};

}  // namespace advf::tools
