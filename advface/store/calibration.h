// What a score means in a set: how often two different people reach it. Told by people of whom there are
// photographs and who have nothing to do with the set; their features go the way that the set's go, but for
// a lock, under which a cosine is what it was. Only scores are kept.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "advface/store/store.h"

namespace advf {

class Calibration {
 public:
  static constexpr int kBins = 400;       // of [-1, 1]
  static constexpr size_t kKept = 65536;  // of the highest scores, as they are
  static constexpr int64_t kFewest = 10;  // impostors beyond a threshold, that a rate may be told

  std::string created, source;
  int64_t people = 0;
  int64_t mean_of = 1;   // records were the mean of up to so many photographs
  double threshold = 0;  // the operator's choice, for decisions that name none

  void add_impostor(float score);
  void add_genuine(float score);
  void finish();  // when all scores are there

  int64_t impostors() const { return impostors_; }
  int64_t genuine() const { return genuine_; }
  // The share of impostor scores at or above the threshold; of low thresholds, up to a bin, at most that.
  double false_match_rate(double at) const;
  // At least this share of a person's own scores reach it, to a bin; empty where there are none.
  std::optional<double> true_match_rate(double at) const;
  // The smallest threshold that no more than this share of impostors reach. Throws Error for a rate of which
  // there would be fewer than kFewest, with what it would take.
  double threshold_at(double rate) const;
  double lowest_rate() const { return double(kFewest) / double(impostors_); }
  const std::vector<int64_t>& impostor_bins() const { return impostor_bins_; }
  const std::vector<int64_t>& genuine_bins() const { return genuine_bins_; }

  void write(Store& store, const StoredSet& set) const;  // in place of another
  static std::optional<Calibration> read(Store& store, const StoredSet& set);
  // Of all that is kept, as the event "calibrate" tells it.
  std::string digest() const;
  // What is wrong with the set's calibration: damage, or that no event tells of it. Empty where nothing is.
  static std::string problem(Store& store, const StoredSet& set);

 private:
  std::vector<float> highest_;  // falling, once finished
  std::vector<int64_t> impostor_bins_ = std::vector<int64_t>(kBins), genuine_bins_ = impostor_bins_;
  int64_t impostors_ = 0, genuine_ = 0;
};

// Each pair of photographs once, the one that comes first as it is stored and the other as a probe.
// people: of each row, as person_key(). stored, probes: (N, D), of the same photographs.
Calibration score_all_pairs(const Tensor& stored, const Tensor& probes, std::span<const int64_t> people,
                            const std::function<bool()>& stop = {});

// Each photograph against each record that it is no part of. stored: (R, D), of the people `owners`; part_of:
// the record of which each photograph (N, D) is a part, or -1.
struct RecordsAndProbes {
  Tensor stored, probes;
  std::vector<int64_t> owners, people, part_of;
};
Calibration score_records(const RecordsAndProbes& of, const std::function<bool()>& stop = {});

}  // namespace advf
