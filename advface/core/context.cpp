#include "advface/core/context.h"

namespace advf {
namespace {

class Silence : public ProgressLine {
 public:
  void advance(int64_t, const std::string&) override {}
  void finish() override {}
};

}  // namespace

std::unique_ptr<ProgressLine> Context::begin(const std::string& what, int64_t total,
                                             const std::string& unit) const {
  return progress ? progress(what, total, unit) : std::make_unique<Silence>();
}

}  // namespace advf
