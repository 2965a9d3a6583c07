// What long work asks of whoever started it: whether to go on, where to show how far it is, whom to tell what
// it noticed. The backend and the number of threads are those of the calling thread (tensor/backend.h,
// tensor/parallel.h). A program has one context (tools/options/cli.h); two threads may work under two.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "tensor/check.h"

namespace advf {

// What was asked for cannot be done as it was asked: a program then shows its help.
class WrongCall : public Error {
 public:
  using Error::Error;
};

class ProgressLine {
 public:
  virtual ~ProgressLine() = default;
  // `detail` stands at the end of the line, e.g. "loss 0.0932".
  virtual void advance(int64_t units, const std::string& detail = "") = 0;
  virtual void finish() = 0;
};

struct Context {
  std::function<bool()> stop;  // asked between blocks of work; true ends it with Interrupted. Empty: never
  // Of `total` units of work, e.g. 9000 "images". Empty: shown nowhere.
  std::function<std::unique_ptr<ProgressLine>(const std::string& what, int64_t total,
                                              const std::string& unit)>
      progress;
  std::function<void(const std::string& line)> note;  // for people. Empty: lost

  bool stopped() const { return stop && stop(); }
  void check_stop() const {
    if (stopped()) throw Interrupted();
  }
  std::unique_ptr<ProgressLine> begin(const std::string& what, int64_t total, const std::string& unit) const;
  void tell(const std::string& line) const {
    if (note) note(line);
  }
};

}  // namespace advf
