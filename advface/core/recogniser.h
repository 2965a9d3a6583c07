// A face recogniser as a plug-in: a card (JSON) that says how to feed an ONNX network, and the network cut in
// two at a named tensor: F = image -> feature, H = feature -> embedding. Both parts are differentiable. The
// cut may be the embedding itself; then the feature is the unit-norm embedding and H the identity.
#pragma once
#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "advface/core/channels.h"
#include "advface/core/face_template.h"
#include "advface/core/feature_domain.h"
#include "advface/core/row_plans.h"
#include "nn/onnx/model.h"
#include "tensor/tensor.h"

namespace advf {

// What the card says. Its keys are the fields' names; every key is required but layout, default_cut,
// domains and trained_against, and no other is allowed.
struct RecogniserCard {
  struct Input {
    std::string name;
    int64_t width = 0, height = 0;
    std::string channels;  // "RGB" or "BGR"
    // The network is fed (255 * pixel - mean) * scale, pixels in [0,1]; by channel, in the order of
    // `channels`. In the card one number for all, or a list of three.
    std::array<double, 3> mean = all_channels(0), scale = all_channels(1);
    bool channels_last = false;  // optional key "layout": "NCHW" (the default) or "NHWC"
  };
  struct Embedding {
    std::string name;
    int64_t dimension = 0;
    bool unit_norm = false;  // the network's output has norm 1 already
    bool normalise = false;  // the consumer must bring it there
  };
  std::string path, model;  // of the card; of the ONNX file (in the card: relative to the card)
  Input input;
  FaceTemplate crop;
  Embedding embedding;
  std::string metric;                            // "cosine"
  std::string default_cut;                       // the embedding where the card names none
  std::map<std::string, FeatureDomain> domains;  // of cuts, where the card knows better than the graph
  std::string trained_against;  // which decoder was to fail on its features, for people; empty: none
};

// Throws Error naming the file and the key.
RecogniserCard load_card(const std::string& path);
RecogniserCard parse_card(const std::string& text, const std::string& path);
// Of everything by which a card decides what feature a photograph gives, 16 hexadecimal digits: two cards of
// one model with the same hash give the same.
std::string feeding_hash(const RecogniserCard& card);

// A tensor where the network can be cut.
struct CutPoint {
  std::string name, op_type;
  Shape shape;       // of one image, without the batch
  int64_t macs = 0;  // of everything up to it, for one image
};

class Recogniser {
 public:
  // Loads the card and its model; checks that they fit each other. Weights go to the current backend.
  static Recogniser load(const std::string& card_path, DType dtype = DType::f32);
  static Recogniser from_bytes(RecogniserCard card, std::string_view model, DType dtype = DType::f32);

  const RecogniserCard& card() const { return card_; }
  const OnnxModel& model() const { return model_; }
  const std::string& fingerprint() const { return model_.fingerprint(); }  // names the weights
  // Of n images, as the network takes them: (n,3,height,width), or with channels last.
  Shape input_shape(int64_t n) const;

  // Why this network runs one image at a time: its graph holds for a batch of one only, or mixes the images
  // of a batch. Empty for a network that takes any number, as most do. Found by a trial with two images.
  const std::string& one_at_a_time() const { return one_at_a_time_; }

  // In the order of the network; the embedding is the last.
  const std::vector<CutPoint>& cut_points() const { return cut_points_; }
  // Throws where the name is no cut: where it does not exist, or which tensor goes round it.
  const CutPoint& cut_point(const std::string& cut) const;
  const Shape& feature_shape(const std::string& cut) const { return cut_point(cut).shape; }

  // Where the features at a cut live: the embedding on the sphere, others as the card says, or non-negative
  // where the graph shows it (OnnxModel::non_negative).
  FeatureDomain domain(const std::string& cut) const;

  // RGB images (N,3,h,w) with values in [0,1], of any size -> network input, of input_shape(N): bilinear
  // resizing (half-pixel centres) where the size differs, channel order, (255 x - mean) * scale.
  // Differentiable.
  Tensor preprocess(const Tensor& images01) const;
  // Below, where nobody records (no tape), the network is frozen and runs through plans (row_plans.h): batch
  // norm is folded into the weights, and results differ from those on a tape in the last bits.
  // Embeddings are then unit vectors, or not finite; else an Error names the card, which says unit_norm and
  // is wrong. F: network input -> feature (N, feature_shape).
  Tensor features(const Tensor& network_input, const std::string& cut) const;
  // H: feature -> embedding (N, dimension), with norm 1. Throws Error where one is not finite and nobody
  // records.
  Tensor embed_from(const Tensor& feature, const std::string& cut) const;
  // H(F(x)) whatever the cut.
  Tensor embed(const Tensor& network_input) const { return features(network_input, card_.embedding.name); }

 private:
  Recogniser(RecogniserCard card, OnnxModel model);
  std::vector<OnnxModel::Traced> traced_one_image() const;
  void check_declared_input() const;
  void check_input(const Tensor& x) const;
  void settle_rows();
  Tensor finish(const Tensor& output) const;
  void check_norms(const Tensor& embeddings) const;
  // The value `to`, given that of `from`: through a plan where no one records.
  Tensor run(const std::string& from, const Tensor& x, const std::string& to) const;

  RecogniserCard card_;
  OnnxModel model_;
  std::string one_at_a_time_;
  std::vector<CutPoint> cut_points_;
  std::shared_ptr<RowPlans> plans_ =
      std::make_shared<RowPlans>();  // copies share them, as they do the weights
};

}  // namespace advf
