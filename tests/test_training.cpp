// What makes a decoder a strong attacker: mirror images, the average of the last epochs, losses that are
// added up; and how its training says whether it has come to rest.
#define BOOST_TEST_MODULE training
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <map>

#include "advface/core/faces.h"
#include "advface/networks/train_decoder.h"
#include "autograd/tape.h"
#include "file_test_util.h"
#include "method_test_util.h"
#include "nn/loss.h"

using namespace advf;
using namespace advf::test;

namespace {

constexpr int64_t kTrain = 64, kRows = 80;

// Photographs with their features, and those of their mirror images.
struct Scene {
  Recogniser recogniser = toy_recogniser();
  Tensor photographs;
  DecoderData data;

  explicit Scene(bool mirrors, int64_t size = kToySize) : photographs(toy_images(kRows, 5, size)) {
    const auto features = [&](const Tensor& x) {
      return FeatureRows(recogniser.features(recogniser.preprocess(x), "e"));
    };
    data.features = features(photographs);
    if (mirrors) {
      data.features = data.features.joined(features(mirrored(photographs)));
      data.mirrors = kRows;
    }
    data.face = [this](const std::vector<int64_t>& rows) { return FeatureRows(photographs).at(rows); };
    for (int64_t i = 0; i < kRows; ++i) (i < kTrain ? data.train : data.validation).push_back(i);
  }
};

TrainSettings settings(int epochs, int average = 1) {
  return {.epochs = epochs, .batch = 16, .learning_rate = 3e-3, .seed = 3, .average = average};
}

struct Run {
  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<DecoderTrainer> trainer;
  Run(const Scene& scene, const TrainSettings& s, const DecoderLoss* loss = nullptr, uint64_t seed = 1)
      : decoder(toy_decoder(scene.recogniser, "e", "deconv", seed)),
        trainer(std::make_unique<DecoderTrainer>(*decoder, scene.data, s, loss)) {}
  std::string to_end() {
    while (!trainer->done()) trainer->step();
    trainer->finish();
    return weights_hash(*decoder);
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(left_and_right_are_exchanged) {
  const Tensor x = Tensor::from(std::vector<float>{1, 2, 3, 4, 5, 6}, {2, 1, 1, 3});
  BOOST_TEST((mirrored(x).to_vector<float>() == std::vector<float>{3, 2, 1, 6, 5, 4}));
  BOOST_TEST((mirrored(x, {0, 1}).to_vector<float>() == std::vector<float>{1, 2, 3, 6, 5, 4}));
  BOOST_TEST(same_bits(mirrored(mirrored(x)), x));
  refused([&] { mirrored(x, {1}); }, {"[2,1,1,3]", "1"});
  const FeatureRows a(Tensor::from(std::vector<float>{1, 2}, {2, 1})),
      b(Tensor::from(std::vector<float>{3, 4, 5}, {3, 1}));
  BOOST_TEST((a.joined(b).range(1, 4).to_vector<float>() == std::vector<float>{2, 3, 4}));
  BOOST_TEST((a.joined(b).at({4, 0}).to_vector<float>() == std::vector<float>{5, 1}));
  refused([&] { a.joined(Tensor::zeros({1, 2})); }, {"[1]", "[2]"});
}

namespace {

// Looks at what a training shows it: the features' rows, and faces that must be those of the rows.
struct Watching : DecoderLoss {
  const Scene& scene;
  mutable std::map<int64_t, int> seen;
  explicit Watching(const Scene& s) : scene(s) {}
  Tensor loss(const Tensor& images, const Tensor& faces, const std::vector<int64_t>& rows) const override {
    for (size_t i = 0; i < rows.size(); ++i) {
      const bool turned = rows[i] >= kRows;
      const Tensor face = scene.data.face({turned ? rows[i] - kRows : rows[i]});
      const int64_t at = int64_t(i);
      BOOST_TEST(same_bits(faces.slice_batch(at, at + 1), turned ? mirrored(face) : face));
      ++seen[rows[i]];
    }
    return l1_loss(images, faces);
  }
};

}  // namespace

// A face and its mirror image come with equal chances, each with its own feature; the statistics are of the
// faces as they are; another run's checkpoint is refused.
BOOST_AUTO_TEST_CASE(half_of_the_images_are_mirrored) {
  const TempDir dir;
  const Scene plain(false), both(true);
  const Watching loss(both);
  Run run(both, settings(12), &loss);
  const std::string whole = run.to_end();
  int turned = 0, all = 0;
  for (const auto& [row, times] : loss.seen) {
    BOOST_TEST(row % kRows < kTrain);
    BOOST_TEST(times < 12);
    (row >= kRows ? turned : all) += times;
  }
  all += turned;
  BOOST_TEST(all == 12 * kTrain);
  BOOST_TEST(std::abs(turned - all / 2) < 60, turned << " of " << all);
  Run other(plain, settings(12));
  BOOST_TEST(same_bits(run.decoder->statistics().mean_face, other.decoder->statistics().mean_face));
  BOOST_TEST(same_bits(run.decoder->statistics().feature_std, other.decoder->statistics().feature_std));
  // Inside an epoch, where the draws must go on.
  Run first(both, settings(12)), second(both, settings(12), nullptr, 9);
  for (int i = 0; i < 6; ++i) first.trainer->step();
  first.trainer->save_checkpoint(dir / "c");
  second.trainer->load_checkpoint(dir / "c");
  BOOST_TEST(second.to_end() == whole);
  refused([&] { other.trainer->load_checkpoint(dir / "c"); }, {"another run"});
}

// The weights are the mean of those that each of the last epochs ended with, batch norm knows what they do,
// and an interruption changes no bit.
BOOST_AUTO_TEST_CASE(the_average_of_the_last_epochs) {
  const TempDir dir;
  const Scene scene(true);
  Run run(scene, settings(6, 3)), last(scene, settings(6));
  const std::string name = "net.head.weight", statistic = "net.up.0.bn.running_mean";
  std::vector<double> mean;
  while (!run.trainer->done()) {
    const size_t before = run.trainer->history().size();
    run.trainer->step();
    if (run.trainer->history().size() == before || run.trainer->history().size() <= 3) continue;
    const auto now = state_dict(*run.decoder).at(name).to_vector<float>();
    mean.resize(now.size());
    for (size_t k = 0; k < now.size(); ++k) mean[k] += double(now[k]) / 3;
  }
  const TensorMap before = state_dict(*run.decoder);
  last.to_end();
  BOOST_TEST(weights_hash(*run.decoder) == weights_hash(*last.decoder));  // until then they are one run
  const std::vector<float> own = before.at(statistic).to_vector<float>();
  const EpochResult result = run.trainer->finish();
  const TensorMap after = state_dict(*run.decoder);
  const auto got = after.at(name).to_vector<float>();
  for (size_t k = 0; k < got.size(); ++k) BOOST_TEST(std::abs(double(got[k]) - mean[k]) < 1e-6);
  BOOST_TEST((after.at(statistic).to_vector<float>() != own));
  BOOST_TEST(result.validation_score != run.trainer->history().back().validation_score);
  const std::string whole = weights_hash(*run.decoder);
  run.trainer->finish();
  BOOST_TEST(weights_hash(*run.decoder) == whole);

  for (int stop : {5, 18, 24}) {  // before the last three epochs, among them, behind the last step
    Run a(scene, settings(6, 3)), b(scene, settings(6, 3), nullptr, 9);
    for (int i = 0; i < stop; ++i) a.trainer->step();
    a.trainer->save_checkpoint(dir / "c");
    b.trainer->load_checkpoint(dir / "c");
    BOOST_TEST(b.to_end() == whole, "stopped after " << stop);
  }
  refused([&] { last.trainer->load_checkpoint(dir / "c"); }, {"another run", "average 3"});
  refused([&] { settings(2, 3).check_valid(); }, {"1 to 2", "3"});
  refused([&] { Run(scene, settings(2)).trainer->finish(); }, {"not complete"});
}

namespace {

std::vector<EpochResult> curve(const std::vector<double>& scores) {
  std::vector<EpochResult> history;
  for (const double s : scores) history.push_back({int(history.size()) + 1, 0, 0, s, 0});
  return history;
}

}  // namespace

BOOST_AUTO_TEST_CASE(what_a_curve_can_tell) {
  const auto verdict = [](const std::vector<double>& scores, std::optional<double> shorter = {}) {
    return flatness_of(curve(scores), 0.005, scores.back(), shorter).verdict;
  };
  BOOST_TEST(verdict({0.1, 0.9}) == "too short");
  BOOST_TEST(verdict({0.1, 0.2, 0.3, 0.35, 0.38, 0.40}) == "rising");
  BOOST_TEST(verdict({0.1, 0.2, 0.3, 0.400, 0.402, 0.404}) == "settled");
  BOOST_TEST(verdict({0.1, 0.2, 0.5, 0.45, 0.4, 0.4}) == "falling");
  // A run beside it settles what the curve leaves open, but for a curve that fell.
  BOOST_TEST(verdict({0.1, 0.2, 0.3, 0.400, 0.402, 0.404}, 0.36) == "longer helps");
  BOOST_TEST(verdict({0.1, 0.2, 0.3, 0.35, 0.38, 0.40}, 0.397) == "flat");
  BOOST_TEST(verdict({0.1, 0.2, 0.5, 0.45, 0.4, 0.4}, 0.4) == "falling");
  const Flatness f = flatness_of(curve({0.1, 0.2, 0.3, 0.35, 0.38, 0.40}), 0.005, 0.41, 0.3);
  BOOST_TEST((f.over == 2 && std::abs(f.gain - 0.05) < 1e-12 && std::abs(f.last_step - 0.02) < 1e-12));
  BOOST_TEST(std::abs(*f.longer - 0.11) < 1e-12);
  // Of averaged weights the curve says nothing; those of the files are compared.
  const auto averaged = [](double final, std::optional<double> shorter) {
    return flatness_of(curve({0.1, 0.2, 0.5, 0.45, 0.4, 0.4}), 0.005, final, shorter, true).verdict;
  };
  BOOST_TEST(averaged(0.5, {}) == "falling before averaging");
  BOOST_TEST(averaged(0.51, 0.4) == "longer helps");
  BOOST_TEST(averaged(0.5, 0.5) == "flat");
  BOOST_TEST(averaged(0.4, 0.3) == "falling");
  BOOST_TEST(told_run("batch 16, data from ab, loss l1, weight 2, [9,4] cd, rows ef") ==
             "batch 16, from ab, loss \"l1, weight 2\", data of shape [9,4] cd, rows ef");
  BOOST_TEST(told_run("batch 16, data [9,4] cd") == "batch 16, data of shape [9,4] cd");
  BOOST_TEST(describe(f, 6).find("longer helps: 0.05 more in the last 2 of 6 epochs") == 0u, describe(f, 6));
}

// A decoder's file says how it was trained; one without it loads, a damaged one is refused.
BOOST_AUTO_TEST_CASE(the_record_of_a_training_stands_in_the_file) {
  const TempDir dir;
  const Recogniser r = toy_recogniser();
  DecoderInfo info = toy_decoder(r, "e")->info();
  info.mirrored = true;
  Decoder decoder(info, 1);
  decoder.save(dir / "old");
  BOOST_TEST(!Decoder::load(dir / "old")->info().training);
  TrainingRecord record{"batch 16, lr 0.1", 6, 0.41,
                        flatness_of(curve({0.1, 0.2, 0.3, 0.35, 0.38, 0.40}), 0.005, 0.41, 1.0 / 3)};
  decoder.set_training(record);
  decoder.save(dir / "new");
  const auto loaded = Decoder::load(dir / "new");
  BOOST_TEST(loaded->info().mirrored);
  BOOST_TEST((loaded->info().training->to_metadata() == record.to_metadata()));
  for (const auto& [key, bad] : {std::pair{"training.epochs", "0"},
                                 {"training.score", "nan"},
                                 {"training.flat.gain", "much"},
                                 {"training.flat.longer", ""}}) {
    Metadata metadata = record.to_metadata();
    metadata[key] = bad;
    refused([&] { TrainingRecord::from_metadata(metadata, "d.safetensors"); }, {"d.safetensors", key});
  }
}

namespace {

// The loss as it was before terms could be added up.
struct OldIdentity : DecoderLoss {
  const Scene& scene;
  double weight;
  OldIdentity(const Scene& s, double w) : scene(s), weight(w) {}
  Tensor loss(const Tensor& images, const Tensor& faces, const std::vector<int64_t>& rows) const override {
    const Recogniser& r = scene.recogniser;
    Tensor target;
    {
      const NoTapeScope fixed;
      target = r.embed_from(scene.data.features.batch(rows), "e");
    }
    const Tensor cosines = reduce_sum(mul(r.embed(r.preprocess(images)), target), {1}, false);
    return add(l1_loss(images, faces), affine(mean_all(cosines), -weight, weight));
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(terms_are_added_up_with_their_weights) {
  const Scene scene(false);
  using Given = std::map<std::string, std::string>;
  const auto made = [&](const std::vector<std::string>& names, const Given& given) {
    return DecoderLossSpec(names, given).make({&scene.recogniser, "e", scene.data.features});
  };
  const OldIdentity old(scene, 0.25);
  const auto identity = made({"identity"}, {{"identity_weight", "0.25"}});
  Run b(scene, settings(2), identity.get()), c(scene, settings(2), &old), d(scene, settings(2));
  const auto plain = made({"l1"}, {});
  Run f(scene, settings(2), plain.get());
  const std::string with_old = c.to_end();
  BOOST_TEST(b.to_end() == with_old);
  BOOST_TEST(d.to_end() == f.to_end());

  const Tensor x = toy_images(4, 1), y = toy_images(4, 2);
  const auto value = [&](const std::vector<std::string>& names, const Given& given) {
    return made(names, given)->loss(x, y, {0, 1, 2, 3}).item();
  };
  const double l1 = l1_loss(x, y).item(), structure = ssim_loss(x, y).item(),
               cosine = value({"identity"}, {{"identity_weight", "1"}}) - l1;
  const Given weights{{"identity_weight", "0.5"}, {"structure_weight", "2"}, {"pixel_weight", "3"}};
  BOOST_TEST(std::abs(value({"structure", "identity"}, weights) - (3 * l1 + 0.5 * cosine + 2 * structure)) <
             1e-5);
  BOOST_TEST(std::abs(value({"structure"}, {{"pixel_weight", "0"}}) - 0.5 * structure) < 1e-6);

  const auto summary = [](const std::vector<std::string>& names, const Given& given) {
    return DecoderLossSpec(names, given).summary();
  };
  BOOST_TEST(summary({}, {}) == "l1");
  BOOST_TEST(summary({"identity", "l1"}, {}) == "identity, weight 0.5");
  BOOST_TEST(summary({"structure", "identity"}, {{"pixel_weight", "2"}}) ==
             "l1, weight 2; identity, weight 0.5; structure, weight 0.5");
  refused([&] { made({"l1"}, {{"pixel_weight", "0"}}); }, {"--pixel-weight", "--decoder-loss"});
  refused([&] { made({"structur"}, {}); }, {"structur", "did you mean structure?"});
  refused([&] { made({"l1"}, {{"structure_weight", "1"}}); }, {"--structure-weight", "l1"});
  refused([&] { made({"second"}, {}); }, {"second", "--loss-recogniser"});
  refused([&] { made({}, {{"loss_recogniser", "nobody.json"}}); }, {"nobody.json"});
  refused(
      [&] {
        DecoderLossSpec({}, {{"loss_recogniser", "nobody.json"}}).open(toy_recogniser());
      },
      {"nobody.json"});
  for (const char* bad : {"0", "-1", "nan", "1e9"})
    refused([&] { made({"structure"}, {{"structure_weight", bad}}); }, {"structure"});
}

// Images of a side that is 16 times an odd number.
BOOST_AUTO_TEST_CASE(images_of_eighty_pixels) {
  const TempDir dir;
  const Scene scene(true, 80);
  for (const char* name : {"deconv", "resup"}) {
    const auto decoder = toy_decoder(scene.recogniser, "e", name, 1, 80);
    DecoderTrainer trainer(*decoder, scene.data, settings(2, 2));
    while (!trainer.done()) trainer.step();
    trainer.finish();
    decoder->save(dir / name);
    const auto loaded = Decoder::load(dir / name);
    const Tensor z = scene.data.features.range(0, 3), images = loaded->reconstruct(z);
    BOOST_TEST((images.shape() == Shape{3, 3, 80, 80}));
    BOOST_TEST(same_bits(images, decoder->reconstruct(z)));
  }
  for (int size : {72, 100, 272})
    refused([&] { toy_decoder(scene.recogniser, "e", "deconv", 1, size); },
            {std::to_string(size), "multiple of 16"});
}
