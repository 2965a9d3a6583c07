#include "advface/networks/flatness.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "nn/nets/net_metadata.h"

namespace advf {
namespace {

constexpr const char *kRun = "training.run", *kEpochs = "training.epochs", *kScore = "training.score",
                     *kVerdict = "training.flat", *kGain = "training.flat.gain",
                     *kOver = "training.flat.over", *kLastStep = "training.flat.last_step",
                     *kWithin = "training.flat.within", *kLonger = "training.flat.longer";

// A text that reads back to the same number.
std::string exact(double value) {
  std::ostringstream out;
  out.precision(17);
  out << value;
  return out.str();
}

std::string short_text(double value) {
  std::ostringstream out;
  out.precision(2);
  out << value;
  return out.str();
}

}  // namespace

Flatness flatness_of(const std::vector<EpochResult>& history, double within, double final,
                     std::optional<double> shorter, bool averaged) {
  Flatness f;
  f.within = within;
  const size_t n = history.size();
  check(n > 0, "a training of no epochs is neither flat nor rising");
  double best = history.back().validation_score;
  for (const EpochResult& e : history) best = std::max(best, e.validation_score);
  if (n >= 2) f.last_step = history[n - 1].validation_score - history[n - 2].validation_score;
  f.over = int(n / 3);
  if (n >= 3) f.gain = history.back().validation_score - history[n - 1 - size_t(f.over)].validation_score;
  const bool fell = best - (shorter ? final : history.back().validation_score) > within;
  f.verdict = n < 3 ? "too short" : fell ? "falling" : f.gain > within ? "rising" : "settled";
  if (shorter) {
    f.longer = final - *shorter;
    if (!fell) f.verdict = *f.longer > within ? "longer helps" : "flat";
  } else if (averaged) {
    f.verdict += " before averaging";
  }
  return f;
}

std::string describe(const Flatness& f, int epochs) {
  std::string text = f.verdict;
  if (f.over > 0)
    text += ": " + short_text(f.gain) + " more in the last " + std::to_string(f.over) + " of " +
            std::to_string(epochs) + " epochs";
  if (f.longer) text += (f.over > 0 ? ", " : ": ") + short_text(*f.longer) + " more than the shorter run";
  return text + " (within " + short_text(f.within) + " is the same)";
}

Metadata TrainingRecord::to_metadata() const {
  Metadata m{{kRun, run},
             {kEpochs, std::to_string(epochs)},
             {kScore, exact(score)},
             {kVerdict, flatness.verdict},
             {kGain, exact(flatness.gain)},
             {kOver, std::to_string(flatness.over)},
             {kLastStep, exact(flatness.last_step)},
             {kWithin, exact(flatness.within)}};
  if (flatness.longer) m[kLonger] = exact(*flatness.longer);
  return m;
}

std::optional<TrainingRecord> TrainingRecord::from_metadata(const Metadata& m, const std::string& source) {
  if (!m.contains(kRun)) return std::nullopt;
  constexpr int64_t kMostEpochs = 100000;
  TrainingRecord r;
  r.run = metadata_text(m, kRun, source);
  r.epochs = int(metadata_int(m, kEpochs, 1, kMostEpochs, source));
  r.score = metadata_number(m, kScore, source);
  r.flatness.verdict = metadata_text(m, kVerdict, source);
  r.flatness.gain = metadata_number(m, kGain, source);
  r.flatness.over = int(metadata_int(m, kOver, 0, kMostEpochs, source));
  r.flatness.last_step = metadata_number(m, kLastStep, source);
  r.flatness.within = metadata_number(m, kWithin, source);
  if (m.contains(kLonger)) r.flatness.longer = metadata_number(m, kLonger, source);
  return r;
}

}  // namespace advf
