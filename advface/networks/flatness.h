// Whether a training has come to rest: an attacker that was stopped too early makes every defence look good.
//
// The curve of one run cannot show it. On a one-cycle schedule the learning rate falls to zero, so that every
// curve is flat in the end, also that of a training that is far too short. What one run can show is that it
// is not at rest: the score still rises over its last third, or has fallen since its best epoch. That more
// epochs bring nothing is shown by a second run of the same call with at most half the epochs and a schedule
// of its own, whose score is as good.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "advface/networks/trainer.h"
#include "nn/state_dict.h"

namespace advf {

// Scores that are no further apart than this are taken for the same, unless somebody says otherwise: of SSIM.
inline constexpr double kFlatWithin = 0.005;

struct Flatness {
  // From the run alone:
  //   "too short"     fewer than three epochs
  //   "rising"        the last epoch's score is above that of two thirds of the way
  //   "falling"       it is below that of the best epoch
  //   "settled"       neither; says nothing about a longer run
  // Beside a run of at most half the epochs:
  //   "flat"          this one's score is no higher, and none of its own epochs is better
  //   "longer helps"  it is higher: yet more epochs may bring more
  // each by more than `within`. "rising" and "settled" give way to these two; "falling" does not.
  // Of a run whose weights were averaged in the end the curve is that of the weights before that, and so say
  // the verdicts of the run alone: "settled before averaging". Those beside a shorter run are of the files.
  std::string verdict;
  double gain = 0;               // of the last third: what the last epoch has more than the one before these
  int over = 0;                  // epochs in this third
  double last_step = 0;          // what the last epoch has more than the one before it
  double within = 0;             // scores that are this close are the same
  std::optional<double> longer;  // what this run has more than the one of at most half the epochs
};

// shorter: the score of a run of at most half the epochs, final: the score of this one.
Flatness flatness_of(const std::vector<EpochResult>& history, double within, double final = 0,
                     std::optional<double> shorter = {}, bool averaged = false);
// "settled: 0.0012 more in the last 4 of 12 epochs" and so on, for people.
std::string describe(const Flatness& flatness, int epochs);

// How a decoder was trained and what came of it, as it stands in its file.
struct TrainingRecord {
  std::string run;  // Trainer::run_but_epochs(): what must be equal for two runs to be compared
  int epochs = 0;
  double score = 0;  // on the validation people, of the weights in the file
  Flatness flatness;

  Metadata to_metadata() const;  // keys "training.run", "training.flat", ...
  // Nothing where the file is of an older version. Throws Error naming file and key.
  static std::optional<TrainingRecord> from_metadata(const Metadata& metadata, const std::string& source);
};

}  // namespace advf
