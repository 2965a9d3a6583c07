// Whom a recogniser is trained against: a decoder that learns beside it, step by step, to turn its embeddings
// back into faces (the minimax game of adversarial representation learning, arXiv 1511.05897, with an image
// in place of an attribute). That this decoder fails proves nothing: it has only followed a recogniser that
// moved on. Whoever evaluates trains a decoder of their own on the recogniser as it is in the end.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "nn/module.h"
#include "nn/optim.h"
#include "nn/state_dict.h"

namespace advf {

struct OpponentSettings {
  std::string decoder;          // architecture, of those that take vectors; empty: nobody
  int image_size = 64;          // of what it decodes, in pixels
  double weight = 1;            // of its reconstruction in the recogniser's loss
  int steps = 1;                // of the decoder for each of the recogniser
  double learning_rate = 1e-3;  // of the decoder, by Adam, the same throughout: it must keep up to the end

  void check_valid() const;      // throws Error naming the setting
  std::string describe() const;  // "deconv of 64 pixels, weight 1, 1 step, rate 0.001"
};

class Opponent {
 public:
  // A fresh decoder, first values from `seed`: one that knows another recogniser's features knows nothing of
  // these. mean_face: (3,S,S), of the training images.
  Opponent(const OpponentSettings& settings, int64_t embedding, const Tensor& mean_face, uint64_t seed);
  const OpponentSettings& settings() const { return settings_; }

  // Below: embeddings (n,D), unit vectors; faces (n,3,S,S) in [0,1], of the recogniser's size.

  // One step of the decoder, towards the faces; the embeddings do not change.
  void learn(const Tensor& embeddings, const Tensor& faces);
  // A scalar in [0,1] on the tape, which the recogniser maximises: what the decoder is wrong by, as a share
  // of what the mean face is wrong by: sum of min(l_i, m_i) over sum of m_i, with l_i and m_i the mean
  // absolute differences of pixels of the decoder's image and of the mean face to face i. An image that is no
  // better than the mean face has nothing more to hide, and no gradient: the game has a bound. The decoder's
  // batch norm works by the batch.
  Tensor share(const Tensor& embeddings, const Tensor& faces) const;
  // The sums of l_i and of m_i, as an attacker's decoder works: by the running statistics.
  struct Wrong {
    double decoder = 0, mean_face = 0;
  };
  Wrong wrong(const Tensor& embeddings, const Tensor& faces) const;

  // Of decoder and optimiser, for a checkpoint. load_state throws Error naming the source.
  TensorMap state();
  void load_state(TensorMap tensors, const std::string& source);

 private:
  struct Differences {
    Tensor decoder, mean_face;  // (n)
  };
  Differences differences(const Tensor& embeddings, const Tensor& faces) const;
  Tensor resized(const Tensor& faces) const;

  OpponentSettings settings_;
  std::unique_ptr<Module> decoder_;
  Tensor mean_face_;  // (1,3,s,s)
  Adam optimizer_;
};

}  // namespace advf
