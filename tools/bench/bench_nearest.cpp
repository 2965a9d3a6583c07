#include "tools/bench/bench_nearest.h"

#include <string>

#include "advface/store/nearest.h"
#include "tools/bench/bench_workloads.h"

namespace advf::tools {
namespace {

constexpr int64_t kRows = 200'000, kDimension = 512, kNearest = 10;
constexpr const char* kTitle = "ten nearest of 200,000 vectors of 512";

}  // namespace

bool bench_nearest(int repeat, Report& report) {
  if (!report.wanted("W9 one", kTitle) && !report.wanted("W9 many", kTitle)) return true;
  const Tensor stored = random_features(kRows, kDimension);
  const auto row = [&](const std::string& name, int64_t probes) {
    const Tensor asked = random_features(probes, kDimension);
    const double products = double(kRows) * double(probes);
    // Every stored value is read once for a batch.
    const Cost cost{2 * products * double(kDimension), 4 * double(kRows) * double(kDimension)};
    return measure_variants("W9", kTitle, double(probes), "probes", cost,
                            {{name, [&] { nearest_rows(stored, asked, kNearest); }}}, repeat, report);
  };
  return row("one", 1) && row("many", 64);
}

}  // namespace advf::tools
