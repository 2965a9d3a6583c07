// Training a decoder: minimise the mean absolute difference between S(z) and the face x that z was made from
// (L1, on public faces). The shadow model and the attackers are trained by this one loop.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "advface/decoder.h"
#include "nn/optim.h"

namespace advf {

struct TrainSettings {
  int epochs = 12;
  int64_t batch = 64;
  double learning_rate = 2e-3;  // peak of a one-cycle schedule, Adam
  uint64_t seed = 1;            // of the first weights and the order of the images

  void check_valid() const;  // throws Error naming the setting
};

// What to train on. Row i of `features` belongs to face i; `face(indices)` gives (n,3,S,S) in [0,1].
struct TrainData {
  Tensor features;
  std::function<Tensor(const std::vector<int64_t>&)> face;
  std::vector<int64_t> train, validation;  // rows; no person in both
};

struct EpochResult {
  int epoch = 0;  // from 1
  double train_l1 = 0, validation_l1 = 0, validation_ssim = 0, seconds = 0;
};

class DecoderTrainer {
 public:
  // Sets the decoder's statistics from the training rows.
  DecoderTrainer(Decoder& decoder, const TrainData& data, const TrainSettings& settings);

  bool done() const { return epoch_ >= settings_.epochs; }
  int64_t batches_per_epoch() const { return batches_; }
  int64_t steps_done() const { return optimizer_.steps(); }
  const std::vector<EpochResult>& history() const { return history_; }

  // One optimiser step; the loss of its batch. After the last batch of an epoch also validates, which appends
  // to history(). Throws Error when the loss is no longer a number.
  double step();

  // Everything needed to go on to the very weights of an uninterrupted run: weights, optimiser, position.
  // load_checkpoint throws where settings or data differ from those of the file.
  void save_checkpoint(const std::string& path);
  void load_checkpoint(const std::string& path);

 private:
  void finish_epoch();
  void set_statistics();
  std::string fingerprint() const;  // of settings and data

  Decoder& decoder_;
  const TrainData& data_;
  TrainSettings settings_;
  Adam optimizer_;
  int64_t batches_ = 0, next_batch_ = 0;
  int epoch_ = 0;
  std::vector<int64_t> order_;
  double loss_sum_ = 0, seconds_ = 0;
  std::vector<EpochResult> history_;
};

// Rows of a matrix by index, in host memory.
Tensor gather_rows(const Tensor& rows, const std::vector<int64_t>& indices);
// A permutation of `items` that depends on (seed, stream) alone.
std::vector<int64_t> shuffled(std::vector<int64_t> items, uint64_t seed, uint64_t stream);

}  // namespace advf
