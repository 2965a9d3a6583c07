// Training a recogniser with ArcFace (arXiv 1801.07698) on labelled faces. Its score is verification accuracy
// on pairs of people it was not trained on.
#pragma once
#include <functional>
#include <memory>

#include "advface/audit/metrics.h"
#include "advface/core/dataset.h"
#include "advface/networks/augment.h"
#include "advface/networks/opponent.h"
#include "advface/networks/trainer.h"
#include "nn/loss.h"
#include "nn/nets/recognisers.h"

namespace advf {

struct RecogniserData {
  std::function<Tensor(const std::vector<int64_t>&)> face;  // (n,3,S,S) in [0,1]
  std::vector<int64_t> person;                              // of every row: any numbers
  std::vector<int64_t> train, validation;                   // rows; no person in both
};

struct RecogniserSettings {
  double scale = 32, margin = 0.3;  // of ArcFace
  Augmentation augmentation;        // of the training images
  OpponentSettings against;         // whom it is trained against; nobody, as it is
};

// How an epoch went for the opponent: what its images are wrong by, as a share of what the mean face is wrong
// by. 1: it knows no more than the mean face.
struct OpponentResult {
  double train = 0;       // mean over the epoch's steps, as the recogniser's loss has it: at most 1
  double validation = 0;  // of other people, by its running statistics; may be above 1
};

// Without an opponent minimises ArcFace. With one each step lets the opponent learn from the embeddings as
// they are now, then minimises ArcFace - weight x Opponent::share(): both see the same varied views of the
// faces.
class RecogniserTrainer : public Trainer {
 public:
  static constexpr double kMean = 127.5, kScale = 1.0 / 128;  // the network is fed (255 x - mean) * scale

  RecogniserTrainer(Module& net, const RecogniserSpec& spec, const RecogniserData& data,
                    const TrainSettings& settings, const RecogniserSettings& recogniser);
  // Throws Error, before any image is read, where the people do not suffice: data.face may be empty.
  static void check_people(const RecogniserData& data, uint64_t seed);
  int64_t classes() const { return int64_t(class_of_.size()); }
  int64_t validation_pairs() const { return int64_t(pairs_.size()); }
  const std::vector<OpponentResult>& opponent_history() const { return opponent_history_; }  // per epoch
  const Opponent* opponent() const { return opponent_.get(); }

  static Tensor network_input(const Tensor& images01);

 private:
  // A person's class number, and the head that needs their count, exist before the base class takes the
  // modules.
  struct Head {
    std::vector<std::pair<int64_t, int32_t>> classes;  // sorted by person
    std::unique_ptr<ArcFaceHead> module;
    RecogniserSettings settings;
    Head(const RecogniserData& data, const RecogniserSpec& spec, uint64_t seed,
         const RecogniserSettings& settings);
  };
  RecogniserTrainer(Module& net, const RecogniserSpec& spec, const RecogniserData& data,
                    const TrainSettings& settings, Head head);
  Tensor loss(const std::vector<int64_t>& rows) override;
  std::pair<double, double> validate() override;
  void pass(const std::vector<int64_t>& rows) override;
  TensorMap more_state() override;
  void load_more(TensorMap tensors, const std::string& path) override;
  Tensor views(const std::vector<int64_t>& rows) const;
  Tensor against(const Tensor& embeddings, const Tensor& views);
  double opponent_on_validation() const;

  Module& net_;
  const RecogniserData& data_;
  uint64_t seed_;
  RecogniserSettings own_settings_;
  std::vector<std::pair<int64_t, int32_t>> class_of_;
  std::unique_ptr<ArcFaceHead> head_;
  std::vector<RowPair> pairs_;  // positions in data.validation
  std::unique_ptr<Opponent> opponent_;
  std::vector<OpponentResult> opponent_history_;
  double share_sum_ = 0;  // of this epoch's steps
};

// The trained network as an ONNX file and a card beside it: OUT.json names OUT.onnx.
// against: what its features were to hide from, if anything; stands in the card.
void write_recogniser(Module& net, const RecogniserSpec& spec, const std::string& card_path,
                      const std::string& against = {});

}  // namespace advf
