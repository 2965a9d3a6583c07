#include "advface/networks/train_recogniser.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "advface/core/feature_domain.h"
#include "advface/networks/mean_face.h"
#include "advface/networks/validation.h"
#include "autograd/tape.h"
#include "nn/layers.h"
#include "nn/onnx/export.h"
#include "tensor/backend.h"
#include "tensor/hash.h"
#include "tensor/io/atomic_file.h"
#include "tensor/ops.h"
#include "tensor/rng.h"

namespace advf {
namespace {

constexpr int64_t kBatch = 64;
constexpr int kFolds = 10;
constexpr size_t kMaxPairs = 3000;                        // genuine, and as many impostors
constexpr uint64_t kOpponentStream = 0x6f70706f6e656e74;  // and the step: the images of its further steps

// Two runs are the same only if net, margin, people, pictures and their variations are.
std::string describe(const RecogniserSpec& spec, const RecogniserData& data,
                     const RecogniserSettings& settings) {
  const Tensor faces = data.face(part_of(data.train, 0, kBatch)).on_host();
  const uint64_t hash = fnv1a({faces.raw(), faces.bytes()}, fnv1a(std::as_bytes(std::span(data.person))));
  return spec.name + " " + std::to_string(spec.image_size) + " " + std::to_string(spec.embedding) + " " +
         std::to_string(spec.width_percent) + " " + std::to_string(settings.scale) + " " +
         std::to_string(settings.margin) + " " + std::to_string(settings.augmentation.strength) + " " +
         hex(hash) + (settings.against.decoder.empty() ? "" : " against " + settings.against.describe());
}

// The class of every person to train on, sorted by person.
std::vector<std::pair<int64_t, int32_t>> classes_of(const RecogniserData& data) {
  std::map<int64_t, int32_t> numbers;
  for (int64_t r : data.train) numbers.try_emplace(data.person[size_t(r)], 0);
  int32_t next = 0;
  for (auto& [person, number] : numbers) number = next++;
  check(numbers.size() >= 2, "there are ", numbers.size(), " people to train on; at least two are needed");
  return {numbers.begin(), numbers.end()};
}

std::vector<RowPair> draw_validation(const RecogniserData& data, uint64_t seed) {
  std::vector<int64_t> people;
  for (int64_t r : data.validation) people.push_back(data.person[size_t(r)]);
  return draw_pairs(people, kFolds, kMaxPairs, Philox{seed, 77});
}

}  // namespace

void RecogniserTrainer::check_people(const RecogniserData& data, uint64_t seed) {
  classes_of(data);
  draw_validation(data, seed);
}

RecogniserTrainer::Head::Head(const RecogniserData& data, const RecogniserSpec& spec, uint64_t seed,
                              const RecogniserSettings& recogniser_settings)
    : classes(classes_of(data)), settings(recogniser_settings) {
  module =
      std::make_unique<ArcFaceHead>(int64_t(classes.size()), spec.embedding, settings.scale, settings.margin);
  module->initialise(seed);
}

RecogniserTrainer::RecogniserTrainer(Module& net, const RecogniserSpec& spec, const RecogniserData& data,
                                     const TrainSettings& settings, const RecogniserSettings& recogniser)
    : RecogniserTrainer(net, spec, data, settings, Head(data, spec, settings.seed, recogniser)) {}

RecogniserTrainer::RecogniserTrainer(Module& net, const RecogniserSpec& spec, const RecogniserData& data,
                                     const TrainSettings& settings, Head head)
    : Trainer({{"net", &net}, {"head", head.module.get()}}, data.train, settings,
              {.weight_decay = 5e-4, .decoupled = true}, describe(spec, data, head.settings)),
      net_(net),
      data_(data),
      seed_(settings.seed),
      own_settings_(head.settings),
      class_of_(std::move(head.classes)),
      head_(std::move(head.module)),
      pairs_(draw_validation(data, settings.seed)) {
  const OpponentSettings& against = own_settings_.against;
  if (!against.decoder.empty())
    opponent_ = std::make_unique<Opponent>(against, spec.embedding, mean_face_of(data.face, data.train),
                                           settings.seed);
}

Tensor RecogniserTrainer::network_input(const Tensor& images01) {
  return affine(images01, 255 * kScale, -kMean * kScale);
}

Tensor RecogniserTrainer::loss(const std::vector<int64_t>& rows) {
  std::vector<int32_t> labels;
  for (int64_t r : rows) {
    const auto at =
        std::lower_bound(class_of_.begin(), class_of_.end(), std::pair(data_.person[size_t(r)], 0));
    labels.push_back(at->second);
  }
  const Tensor images = views(rows), embeddings = net_.forward(network_input(images));
  const Tensor arcface = head_->loss(embeddings, Tensor::from(labels, {int64_t(labels.size())}));
  return opponent_ ? sub(arcface, against(embeddings, images)) : arcface;
}

Tensor RecogniserTrainer::views(const std::vector<int64_t>& rows) const {
  return augmented(data_.face(rows), rows, Philox{seed_, 1000 + uint64_t(history().size())},
                   own_settings_.augmentation);
}

void RecogniserTrainer::pass(const std::vector<int64_t>& rows) { net_.forward(network_input(views(rows))); }

// The opponent's steps, the first on this batch, the others on batches of their own; then what the loss of
// the recogniser loses by it.
Tensor RecogniserTrainer::against(const Tensor& embeddings, const Tensor& images) {
  const Tensor features = l2_normalise(embeddings);
  opponent_->learn(features, images);
  for (int k = 1; k < opponent_->settings().steps; ++k) {
    const Philox rng{seed_, kOpponentStream + uint64_t(steps_done())};
    std::vector<int64_t> rows;
    for (int64_t i = 0; i < images.dim(0); ++i)
      rows.push_back(data_.train[rng.below(uint64_t(k * images.dim(0) + i), data_.train.size())]);
    const Tensor others = views(rows);
    const NoTapeScope off;
    // As in training mode, but leaving the running statistics to the batches that are trained on.
    net_.train(false);
    Tensor theirs;
    {
      const BatchStatisticsScope by_the_batch;
      theirs = l2_normalise(net_.forward(network_input(others)));
    }
    net_.train(true);
    opponent_->learn(theirs, others);
  }
  const Tensor share = opponent_->share(features, images);
  share_sum_ += share.item();
  return affine(share, opponent_->settings().weight, 0);
}

double RecogniserTrainer::opponent_on_validation() const {
  Opponent::Wrong sum;
  for (int64_t begin = 0; begin < int64_t(data_.validation.size()); begin += kBatch) {
    const Tensor faces = data_.face(part_of(data_.validation, begin, begin + kBatch));
    const Opponent::Wrong some = opponent_->wrong(l2_normalise(net_.forward(network_input(faces))), faces);
    sum.decoder += some.decoder;
    sum.mean_face += some.mean_face;
  }
  return sum.decoder / std::max(sum.mean_face, 1e-12);
}

TensorMap RecogniserTrainer::more_state() {
  if (!opponent_) return {};
  TensorMap all = opponent_->state();
  std::vector<double> past;
  for (const OpponentResult& e : opponent_history_) past.insert(past.end(), {e.train, e.validation});
  all["history"] = Tensor::from(past, {int64_t(opponent_history_.size()), 2});
  all["share_sum"] = Tensor::from(std::vector<double>{share_sum_}, {1});
  return all;
}

void RecogniserTrainer::load_more(TensorMap tensors, const std::string& path) {
  if (!opponent_) return;
  const Tensor past = tensors["history"], sum = tensors["share_sum"];
  check(past.defined() && past.dtype() == DType::f64 && past.shape().rank() == 2 && past.dim(1) == 2 &&
            sum.defined() && sum.dtype() == DType::f64 && sum.shape() == Shape{1},
        path, ": the checkpoint does not say how the decoder that is trained against did; it is damaged");
  opponent_->load_state(std::move(tensors), path);
  share_sum_ = sum.to_vector<double>()[0];
  opponent_history_.clear();
  const std::vector<double> values = past.to_vector<double>();
  for (size_t e = 0; e + 1 < values.size(); e += 2) opponent_history_.push_back({values[e], values[e + 1]});
}

std::pair<double, double> RecogniserTrainer::validate() {
  // Loss and score are of pairs, whose pictures lie in several batches: what ranks share is the embedding.
  const auto embeddings = [this](const std::vector<int64_t>& rows, int64_t) {
    return l2_normalise(net_.forward(network_input(data_.face(rows)))).to_vector<float>();
  };
  std::vector<float> values;
  for (const auto& rows : of_batches<float>(data_.validation, kBatch, embeddings))
    values.insert(values.end(), rows.begin(), rows.end());
  const size_t dim = values.size() / data_.validation.size();
  std::vector<ScoredPair> scores;
  double genuine = 0, impostor = 0;
  for (const RowPair& p : pairs_) {
    const std::span all(values);
    const double product = dot(all.subspan(p.a * dim, dim), all.subspan(p.b * dim, dim));
    scores.push_back({product, p.genuine, p.fold});
    (p.genuine ? genuine : impostor) += product;
  }
  const auto [least, most] = std::minmax_element(
      scores.begin(), scores.end(), [](const auto& a, const auto& b) { return a.score < b.score; });
  check(most->score - least->score > 1e-5, "training diverged: all pictures have one embedding in epoch ",
        history().size() + 1, "; use a smaller --lr");
  if (opponent_) {
    opponent_history_.push_back({share_sum_ / double(batches_per_epoch()), opponent_on_validation()});
    share_sum_ = 0;
  }
  // There are no classes for new people: the loss is how much closer strangers are than photographs of one
  // person.
  return {2 * (impostor - genuine) / double(pairs_.size()), fold_accuracy(scores).mean};
}

void write_recogniser(Module& net, const RecogniserSpec& spec, const std::string& card_path,
                      const std::string& against) {
  namespace fs = std::filesystem;
  const fs::path model = fs::path(card_path).replace_extension(".onnx");
  net.train(false);
  std::map<uint64_t, std::string> names;
  for (const Named& n : net.state()) names[n.tensor->id()] = n.name;
  Tape tape(Tape::Keep::everything);
  const Tensor input = Tensor::zeros({1, 3, spec.image_size, spec.image_size});
  Tensor output;
  {
    TapeScope scope(tape);
    output = net.forward(input);
  }
  export_onnx(model.string(), tape, input, "input", {{output, "embedding"}}, names);
  nlohmann::ordered_json card = {
      {"model", model.filename().string()},
      {"input",
       {{"name", "input"},
        {"width", spec.image_size},
        {"height", spec.image_size},
        {"channels", "RGB"},
        {"mean", RecogniserTrainer::kMean},
        {"scale", RecogniserTrainer::kScale}}},
      {"crop", {{"template", "arcface112"}, {"margin", 0.0}}},
      {"embedding",
       {{"name", "embedding"}, {"dimension", spec.embedding}, {"unit_norm", false}, {"normalise", true}}},
      {"metric", "cosine"}};
  if (!against.empty()) card["trained_against"] = against;
  AtomicFile file(card_path);
  file.write(card.dump(2) + "\n");
  file.commit();
}

}  // namespace advf
