// Every attacker of the registry holds what attacker.h promises, and the checks find planted mistakes; every
// loss of a decoder; every judge.
#define BOOST_TEST_MODULE attackers
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <map>

#include "advface/attackers/registry.h"
#include "advface/audit/judge.h"
#include "advface/core/dataset.h"
#include "advface/networks/train_decoder.h"
#include "attacker_checks.h"
#include "file_test_util.h"
#include "method_test_util.h"
#include "tensor/parallel.h"

using namespace advf;
using namespace advf::test;

namespace {

constexpr int64_t kTrain = 96, kRows = 112;

// A recogniser's features at the embedding with their photographs: all that trains.
struct Scene {
  Recogniser recogniser = toy_recogniser();
  Tensor photographs = toy_images(kRows, 5), features = toy_features(recogniser, "e", kRows, 5);
  DecoderData data;

  Scene() {
    data.features = features;
    data.face = [this](const std::vector<int64_t>& rows) { return FeatureRows(photographs).at(rows); };
    for (int64_t i = 0; i < kRows; ++i) (i < kTrain ? data.train : data.validation).push_back(i);
  }
  std::unique_ptr<Decoder> fresh(const std::string& loss, uint64_t seed = 1) const {
    DecoderInfo info = toy_decoder(recogniser, "e")->info();
    info.people = {person_key("anna")};
    info.loss = loss;
    return std::make_unique<Decoder>(info, seed);
  }
  std::unique_ptr<DecoderLoss> loss(const std::string& name) const {
    return decoder_loss_kind(name).spec()->make({&recogniser, "e", data.features});
  }
  void train(Decoder& decoder, const DecoderLoss& loss, int epochs) const {
    DecoderTrainer trainer(decoder, data, {.epochs = epochs, .batch = 16, .learning_rate = 3e-3}, &loss);
    while (!trainer.done()) trainer.step();
    decoder.train(false);
  }
};

const Scene& scene() {
  static const Scene s;
  return s;
}

// The file of each attacker, made once. One that stands in the registry and not here fails the test.
std::string file_of(const TempDir& dir, const std::string& kind) {
  BOOST_REQUIRE_MESSAGE(kind == "decoder", "no test of the attacker " << kind);
  const std::string path = dir / kind;
  const auto decoder = scene().fresh("l1");
  scene().train(*decoder, *scene().loss("l1"), 150);
  decoder->save(path);
  return path;
}

Tensor raw() { return scene().features.slice_batch(0, kTrain); }
Tensor seen() { return scene().photographs.slice_batch(0, kTrain); }

std::string joined(const std::vector<std::string>& list) {
  std::string text;
  for (const std::string& word : list) text += word + ", ";
  return text;
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_attacker_holds_every_rule) {
  const TempDir dir;
  for (const AttackerKind& kind : attackers()) {
    const std::string path = file_of(dir, kind.name);
    const auto attacker = load_attacker(path);
    BOOST_TEST((attacker->kind() == kind.name && !kind.help.empty() && !attacker->name().empty()));
    BOOST_TEST(attacker->row() == Shape{kToyDim});
    const std::string broken = joined(broken_rules(*attacker, raw(), seen(), "anna"));
    BOOST_TEST(broken == "", kind.name << ": " << broken);
    survive(
        read_bytes(path),
        [&](const std::string& text) {
          write_bytes(dir / "damaged", text);
          load_attacker(dir / "damaged");
        },
        60);
  }
  toy_decoder(scene().recogniser, "e")->save(dir / "d");
  write_bytes(dir / "text", "no safetensors");
  refused([&] { load_attacker(dir / "text"); }, {"text"});
  save_weights(*toy_decoder(scene().recogniser, "e"), dir / "weights", {{"format", "advface-adapter-1"}});
  refused([&] { load_attacker(dir / "weights"); }, {"weights", "advface-adapter-1", "advface-decoder-1"});
}

namespace {

// The photographs themselves, darkened a little; with one mistake.
class Planted : public Attacker {
 public:
  explicit Planted(std::string mistake) : mistake_(std::move(mistake)) {
    if (mistake_ != "people") from_.people = {person_key("anna")};
  }
  const Provenance& provenance() const override { return from_; }
  const Shape& row() const override { return row_; }
  int image_size() const override { return int(kToySize); }
  std::string kind() const override { return "planted"; }
  std::string name() const override { return "planted"; }
  Tensor mean_face() const override { return Tensor::full({3, kToySize, kToySize}, 0.5); }
  Tensor attack(const Tensor& z) const override {
    std::vector<int64_t> rows;
    for (int64_t i = 0; i < z.dim(0); ++i)
      for (int64_t r = 0; r < kTrain; ++r)
        if (same_bits(z.slice_batch(i, i + 1), scene().features.slice_batch(r, r + 1))) {
          rows.push_back(r);
          break;
        }
    double scale = 0.98;
    static int calls = 0;
    if (mistake_ == "rows") scale -= 0.001 * double(z.dim(0));
    if (mistake_ == "threads") scale -= 0.01 * num_threads();
    if (mistake_ == "again") scale -= 0.001 * ++calls;
    if (mistake_ == "range") scale = 1.5;
    const Tensor images = affine(FeatureRows(scene().photographs).at(rows), scale, 0);
    if (mistake_ == "shape") return reshape(images, {z.dim(0), 3 * kToySize, kToySize, 1});
    return mistake_ == "chance" ? repeat(mean_face(), z.dim(0)) : images;
  }

 private:
  std::string mistake_;
  Provenance from_;
  Shape row_{kToyDim};
};

}  // namespace

BOOST_AUTO_TEST_CASE(planted_mistakes_are_found) {
  BOOST_TEST(joined(broken_rules(Planted(""), raw(), seen(), "anna")) == "");
  for (const std::string mistake : {"shape", "range", "rows", "threads", "again", "chance", "people"}) {
    const auto found = broken_rules(Planted(mistake), raw(), seen(), "anna");
    BOOST_TEST(std::count(found.begin(), found.end(), mistake) == 1, mistake << ": " << joined(found));
  }
}

// Each loss goes down, resumes to the very weights, stands in the file; and does what it is there for.
BOOST_AUTO_TEST_CASE(every_decoder_loss_trains_and_resumes) {
  const TempDir dir;
  std::map<std::string, double> cosines;
  for (const DecoderLossKind& kind : decoder_losses()) {
    const auto spec = kind.spec();
    spec->check_valid();
    BOOST_TEST(!kind.help.empty());
    const auto loss = scene().loss(kind.name);
    const TrainSettings settings{.epochs = 8, .batch = 16, .learning_rate = 3e-3};
    const auto decoder = scene().fresh(spec->summary());
    DecoderTrainer trainer(*decoder, scene().data, settings, loss.get());
    while (!trainer.done()) trainer.step();
    const auto& history = trainer.history();
    BOOST_TEST(history.back().train_loss < history.front().train_loss, kind.name);
    for (int stop : {3, 7}) {
      const auto first = scene().fresh(spec->summary()), second = scene().fresh(spec->summary(), 9);
      DecoderTrainer a(*first, scene().data, settings, loss.get()),
          b(*second, scene().data, settings, loss.get());
      for (int i = 0; i < stop; ++i) a.step();
      a.save_checkpoint(dir / "c");
      b.load_checkpoint(dir / "c");
      while (!b.done()) b.step();
      BOOST_TEST(weights_hash(*decoder) == weights_hash(*second), kind.name << " stopped after " << stop);
    }
    decoder->save(dir / kind.name);
    BOOST_TEST(Decoder::load(dir / kind.name)->info().loss == spec->summary());
    // Another loss is another run.
    if (kind.name != "l1") {
      const auto other = scene().fresh("l1");
      DecoderTrainer wrong(*other, scene().data, settings);
      refused([&] { wrong.load_checkpoint(dir / "c"); }, {"another run", spec->summary()});
    }
    decoder->train(false);
    const Recogniser& r = scene().recogniser;
    const Tensor seen = r.embed(r.preprocess(decoder->reconstruct(scene().features)));
    cosines[kind.name] = mean_all(reduce_sum(mul(seen, scene().features), {1}, false)).item();
  }
  BOOST_TEST(cosines["identity"] > cosines["l1"] + 0.02, cosines["l1"] << " and " << cosines["identity"]);
  refused([] { decoder_loss_kind("identty"); }, {"identty", "did you mean identity?", "l1"});
  refused([] { decoder_loss_kind("identity").spec()->make({}); }, {"identity", "--features"});
}

// What the photograph itself gets from each judge; and that all numbers have an image.
BOOST_AUTO_TEST_CASE(every_judge_knows_the_photograph) {
  const Recogniser& r = scene().recogniser;
  constexpr int64_t n = 6;
  TestImages test;
  test.faces = scene().photographs.slice_batch(0, n).on_host();
  for (int64_t i = 0; i < n; ++i) {
    test.images.push_back(i);
    test.people.push_back(i / 2);
    test.files.push_back(std::to_string(i));
    test.identities.push_back(std::to_string(i / 2));
  }
  const Tensor embeddings = r.embed(r.preprocess(test.faces)).on_host();
  test.verifiers.push_back({"deployed", &r, 0.99, embeddings, FeatureRows(embeddings).at({1, 0}), {0, 1}});
  const auto measures = judge_all(test.faces, test);
  for (const Measure& m : measures) BOOST_TEST(m.values.size() == (m.of ? m.of->size() : size_t(n)), m.name);
  const auto all_are = [&](const std::string& name, double value) {
    const Measure* m = find_measure(measures, name);
    BOOST_REQUIRE_MESSAGE(m, name);
    for (double v : m->values) BOOST_TEST(std::abs(v - value) < 1e-5, name << ": " << v);
  };
  all_are("ssim", 1);
  all_are("mse", 0);
  all_are("cosine/deployed", 1);
  all_are("replay_rate/deployed/same_photo", 1);
  BOOST_TEST((find_measure(measures, "replay_rate/deployed/other_photo")->of == std::vector<int64_t>{0, 1}));
  BOOST_TEST(!find_measure(measures, "beauty"));
  refused([&] { judge_all(Tensor::zeros({n, 3, 8, 8}), test); }, {"[6,3,8,8]"});
  // Of some images, in another order.
  const auto some = judge_all(FeatureRows(test.faces).at({5, 1}), test.only({5, 1}));
  BOOST_TEST(find_measure(some, "ssim")->values.size() == 2u);
  BOOST_TEST((find_measure(some, "replay_rate/deployed/other_photo")->of == std::vector<int64_t>{1}));
  for (const JudgeKind& kind : judges()) BOOST_TEST((!kind.name.empty() && !kind.help.empty()));
}
