// The training loop that all networks share: epochs over shuffled rows, Adam on a one-cycle schedule,
// validation after each epoch, checkpoints that go on to the very weights of an uninterrupted run, and the
// average of the last epochs' weights. In a team (nn/team.h) every rank makes the same trainer and calls the
// same functions of it; each takes its share of every batch, and all have the same weights throughout.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "nn/module.h"
#include "nn/optim.h"

namespace advf {

struct TrainSettings {
  int epochs = 12;
  int64_t batch = 64;
  double learning_rate = 2e-3;       // peak of a one-cycle schedule
  uint64_t seed = 1;                 // of the first weights and the order of the images
  bool batch_norm_per_rank = false;  // in a team each normalises by its own share of a batch
  int average = 1;  // the weights in the end are the mean of those behind so many of the last epochs

  void check_valid() const;  // throws Error naming the setting
};

struct EpochResult {
  int epoch = 0;  // from 1
  double train_loss = 0, validation_loss = 0;
  double validation_score = 0;  // by the kind of network, e.g. SSIM for decoders: higher is better
  double seconds = 0;
};

// A run (Trainer::run_but_epochs) as people read it, who need to know where its loss ends and its data begin.
std::string told_run(const std::string& run);

class Trainer {
 public:
  virtual ~Trainer() = default;
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  bool done() const { return epoch_ >= settings_.epochs; }
  int64_t batches_per_epoch() const { return batches_; }
  int64_t steps_done() const { return optimizer_.steps(); }
  const std::vector<EpochResult>& history() const { return history_; }

  // One optimiser step; the loss of its batch. After the last batch of an epoch also validates, which appends
  // to history(). Throws Error when the loss is no longer a number.
  double step();

  // After the last step: puts the average of the last epochs' weights (arXiv 1803.05407) in the place of the
  // weights, and estimates batch norm's running statistics again in one pass over the training images. The
  // mean of the statistics that each epoch had would be wrong: what a layer sees depends on the layers before
  // it, and of averaged ones it sees something that no epoch has seen. Validates; the result is not in
  // history(). With an average of one epoch changes nothing and returns the last epoch. May be called again.
  EpochResult finish();

  // What the run is, but for the number of its epochs and of those averaged: settings and fingerprints of the
  // data. Runs of which it is equal differ in how long they are alone.
  std::string run_but_epochs() const;

  // Weights, optimiser, position and the sum of the weights to be averaged. load_checkpoint throws where
  // settings or data differ from those of the file.
  void save_checkpoint(const std::string& path);
  void load_checkpoint(const std::string& path);

 protected:
  // modules: what is trained and saved, each under a name; data: a fingerprint of what is trained on. The
  // last, smaller batch of an epoch is dropped: every epoch drops others.
  Trainer(std::vector<std::pair<std::string, Module*>> modules, std::vector<int64_t> rows,
          const TrainSettings& settings, const AdamOptions& adam, std::string data);
  // In training mode, on the tape: a scalar, the mean over these rows of what each of them gives, so that
  // those of shares add up to that of the batch.
  virtual Tensor loss(const std::vector<int64_t>& rows) = 0;
  // Loss and score, on a team the same on all ranks, which share the work (networks/validation.h).
  virtual std::pair<double, double> validate() = 0;
  // The networks' forward pass of training mode, from which batch norm learns its statistics; off the tape.
  virtual void pass(const std::vector<int64_t>& rows) { loss(rows); }
  // What else a checkpoint must hold for a run to go on to the same bits, and its return. load_more throws
  // Error naming the source.
  virtual TensorMap more_state() { return {}; }
  virtual void load_more(TensorMap, const std::string&) {}

 private:
  std::vector<int64_t> rows_of_batch(int64_t i) const;  // of this epoch's order: all, or this rank's share
  void train_mode(bool on);
  void check_weights() const;  // throws Error naming the epoch and the tensor that is not finite
  std::string run_name() const;
  void add_to_average();
  bool averages(int epoch) const {
    return settings_.average > 1 && epoch > settings_.epochs - settings_.average;
  }
  TensorMap average_state() const;
  void load_average(const TensorMap& sums, const std::string& path);

  std::vector<std::pair<std::string, Module*>> modules_;
  std::vector<int64_t> rows_, order_;
  TrainSettings settings_;
  std::string data_;
  Adam optimizer_;
  int64_t batches_ = 0, next_batch_ = 0;
  int epoch_ = 0;
  double loss_sum_ = 0, seconds_ = 0;
  std::vector<std::vector<double>> sums_;  // of the weights to be averaged, per parameter
  std::vector<EpochResult> history_;
};

// A permutation of `items` that depends on (seed, stream) alone.
std::vector<int64_t> shuffled(std::vector<int64_t> items, uint64_t seed, uint64_t stream);
// The tensors whose names begin so, under the rest of their names; they leave `all`.
TensorMap taken_out(TensorMap& all, const std::string& prefix);
// Elements [begin, end) of a list, cut at its end.
std::vector<int64_t> part_of(const std::vector<int64_t>& items, int64_t begin, int64_t end);

}  // namespace advf
