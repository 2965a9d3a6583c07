// The method at toy size: decoder files, training that resumes, protection record by record.
#define BOOST_TEST_MODULE method
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <filesystem>

#include "advface/networks/augment.h"
#include "advface/networks/decoder.h"
#include "advface/networks/train_decoder.h"
#include "advface/protections/ascent/ascent.h"
#include "autograd/tape.h"
#include "file_test_util.h"
#include "nn/loss.h"
#include "nn/state_dict.h"
#include "protection_test_util.h"
#include "tensor/io/npy.h"
#include "tensor/ops.h"
#include "tensor/parallel.h"
#include "test_util.h"

using namespace advf;
using namespace advf::test;

namespace {

constexpr int64_t kDim = 12, kSize = 32;

DecoderInfo toy_info(const std::string& name = "deconv") {
  DecoderInfo info;
  info.spec = {name, {kDim}, int(kSize), 16};
  info.cut = "embedding";
  info.recogniser = "0123456789abcdef";
  info.domain = FeatureDomain::sphere;
  return info;
}

// Unit vectors, and faces that are a simple function of them: two shades whose border moves.
struct ToyFaces {
  Tensor features;
  explicit ToyFaces(int64_t n) : features(l2_normalise(randn({n, kDim}, 5, DType::f32))) {}
  Tensor face(const std::vector<int64_t>& rows) const {
    std::vector<float> pixels;
    for (int64_t r : rows) {
      const float* z = features.data<float>() + r * kDim;
      for (int c = 0; c < 3; ++c)
        for (int64_t y = 0; y < kSize; ++y)
          for (int64_t x = 0; x < kSize; ++x)
            pixels.push_back(x > kSize / 2 + 20 * double(z[c]) ? 0.5f + 0.4f * z[3] : 0.5f + 0.4f * z[4]);
    }
    return Tensor::from(pixels, {int64_t(rows.size()), 3, kSize, kSize});
  }
};

struct ToyRun {
  ToyFaces faces{160};
  DecoderData data;
  TrainSettings settings;
  explicit ToyRun(int epochs = 3) {
    data.features = faces.features;
    data.face = [this](const std::vector<int64_t>& rows) { return faces.face(rows); };
    for (int64_t i = 0; i < 160; ++i) (i < 128 ? data.train : data.validation).push_back(i);
    settings = {.epochs = epochs, .batch = 16, .learning_rate = 5e-3, .seed = 3};
  }
};

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}
bool same_state(Module& a, Module& b) {
  const auto x = state_dict(a), y = state_dict(b);
  bool same = x.size() == y.size();
  for (const auto& [name, tensor] : x) same = same && y.contains(name) && same_bits(tensor, y.at(name));
  return same;
}

}  // namespace

BOOST_AUTO_TEST_CASE(training_learns_and_beats_the_mean_face) {
  ToyRun run(20);
  Decoder decoder(toy_info(), 1);
  DecoderTrainer trainer(decoder, run.data, run.settings);
  while (!trainer.done()) trainer.step();
  BOOST_REQUIRE_EQUAL(trainer.history().size(), 20u);
  const Tensor x = run.faces.face(run.data.validation);
  const Tensor mean = broadcast_to(reshape(decoder.statistics().mean_face, {1, 3, kSize, kSize}), x.shape());
  const double mean_l1 = mean_all(abs(sub(mean, x))).item();
  BOOST_TEST(std::abs(trainer.mean_face_score() - mean_all(ssim(mean, x)).item()) < 1e-5);
  BOOST_TEST(trainer.history().back().validation_loss < 0.8 * mean_l1);
  BOOST_TEST(trainer.history().back().train_loss < 0.8 * trainer.history().front().train_loss);
}

BOOST_AUTO_TEST_CASE(a_resumed_run_ends_at_the_same_weights) {
  const TempDir dir;
  const std::string path = dir / "run.checkpoint";
  ToyRun run;
  Decoder whole(toy_info(), 1);
  DecoderTrainer uninterrupted(whole, run.data, run.settings);
  while (!uninterrupted.done()) uninterrupted.step();
  for (int stop : {1, 8, 13}) {  // inside an epoch, at its end
    Decoder first(toy_info(), 1), second(toy_info(), 99);
    DecoderTrainer a(first, run.data, run.settings);
    for (int i = 0; i < stop; ++i) a.step();
    a.save_checkpoint(path);
    DecoderTrainer b(second, run.data, run.settings);
    b.load_checkpoint(path);
    while (!b.done()) b.step();
    BOOST_TEST(same_state(whole, second), "stopped after " << stop);
    BOOST_TEST(b.history().back().validation_score == uninterrupted.history().back().validation_score);
  }
  ToyRun other;
  other.settings.seed = 4;
  Decoder third(toy_info(), 1);
  DecoderTrainer c(third, other.data, other.settings);
  BOOST_CHECK_THROW(c.load_checkpoint(path), Error);
}

BOOST_AUTO_TEST_CASE(training_has_the_same_bits_at_any_thread_count) {
  ToyRun run(1);
  set_num_threads(1);
  Decoder one(toy_info("resup"), 1), three(toy_info("resup"), 1);
  DecoderTrainer a(one, run.data, run.settings);
  while (!a.done()) a.step();
  set_num_threads(3);
  DecoderTrainer b(three, run.data, run.settings);
  while (!b.done()) b.step();
  set_num_threads(0);
  BOOST_TEST(same_state(one, three));
}

BOOST_AUTO_TEST_CASE(a_decoder_file_keeps_everything) {
  const TempDir dir;
  const std::string path = dir / "decoder.safetensors";
  ToyRun run(1);
  Decoder decoder(toy_info(), 1);
  DecoderTrainer trainer(decoder, run.data, run.settings);
  while (!trainer.done()) trainer.step();
  decoder.save(path);
  const auto loaded = Decoder::load(path);
  BOOST_TEST(same_state(decoder, *loaded));
  BOOST_TEST(loaded->info().cut == "embedding");
  BOOST_TEST((loaded->info().domain == FeatureDomain::sphere));
  BOOST_TEST(same_bits(decoder.reconstruct(run.faces.features), loaded->reconstruct(run.faces.features, 7)));
  loaded->check_fits({kDim}, "0123456789abcdef", "embedding", "features");
  BOOST_CHECK_THROW(loaded->check_fits({kDim + 1}, "", "", "features"), Error);
  BOOST_CHECK_THROW(loaded->check_fits({kDim}, "ffff", "", "features"), Error);
  BOOST_CHECK_THROW(loaded->check_fits({kDim}, "", "pool", "features"), Error);
}

namespace {

std::unique_ptr<Decoder> toy_shadow() {
  ToyRun run(2);
  auto decoder = std::make_unique<Decoder>(toy_info(), 1);
  DecoderTrainer trainer(*decoder, run.data, run.settings);
  while (!trainer.done()) trainer.step();
  return decoder;
}

}  // namespace

BOOST_AUTO_TEST_CASE(protection_moves_the_image_and_keeps_the_bounds) {
  const auto shadow = toy_shadow();
  const Tensor z = ToyFaces(40).features;
  const AscentSettings settings{.epsilon = 0.1, .steps = 10, .seed = 2};
  const ProtectedRows result = protect(*shadow, z, 0, settings);
  double before = 0, after = 0, none = 0;
  for (const RecordReport& r : result.reports) {
    before += r.loss_before;
    after += r.loss_after;
    BOOST_TEST(r.cosine > 0.7);
    BOOST_TEST(r.loss_after >= r.loss_before);
  }
  BOOST_TEST(after > 3 * before);
  // d itself lies in the ball: z_adv is parallel to z + d, so some multiple of it is within epsilon of z.
  const auto a = result.features.to_vector<float>(), b = z.to_vector<float>();
  for (int64_t i = 0; i < 40; ++i) {
    double norm = 0, best = INFINITY;
    for (int64_t k = 0; k < kDim; ++k)
      norm += double(a[size_t(i * kDim + k)]) * double(a[size_t(i * kDim + k)]);
    BOOST_TEST(std::abs(std::sqrt(norm) - 1) < 1e-5);
    for (double scale = 0.6; scale < 1.6; scale += 0.0005) {
      double largest = 0;
      for (int64_t k = 0; k < kDim; ++k)
        largest = std::max(
            largest, std::abs(scale * double(a[size_t(i * kDim + k)]) - double(b[size_t(i * kDim + k)])));
      best = std::min(best, largest);
    }
    BOOST_TEST(best <= 0.1 + 1e-3);
  }
  const ProtectedRows zero = protect(*shadow, z, 0, {.epsilon = 0, .steps = 3});
  for (const RecordReport& r : zero.reports) none = std::max(none, r.noise_linf);
  BOOST_TEST(none < 1e-6);
}

BOOST_AUTO_TEST_CASE(a_record_depends_on_nothing_but_itself) {
  const auto shadow = toy_shadow();
  const Tensor z = ToyFaces(37).features;
  const AscentSettings settings{.epsilon = 0.08, .steps = 4, .seed = 9};
  const Tensor whole = protect(*shadow, z, 0, settings).features;
  for (int64_t chunk : {1, 5, 16}) {
    for (int64_t begin = 0; begin < 37; begin += chunk) {
      const int64_t end = std::min<int64_t>(37, begin + chunk);
      const Tensor part = protect(*shadow, z.slice_batch(begin, end), begin, settings).features;
      BOOST_TEST(same_bits(part, whole.slice_batch(begin, end)), "chunk " << chunk << " at " << begin);
    }
  }
  set_num_threads(3);
  BOOST_TEST(same_bits(protect(*shadow, z, 0, settings).features, whole));
  set_num_threads(0);
  BOOST_TEST(!same_bits(protect(*shadow, z, 1, settings).features, whole),
             "the record's number keys the start");
}

// Without the start the gradient of the direct objective is zero but for rounding, which is enough to climb:
// only the start itself tells. Recomputed here from the definition: uniform in the ball, Philox(seed,
// record).
BOOST_AUTO_TEST_CASE(the_ascent_begins_at_the_random_start) {
  const auto shadow = toy_shadow();
  const Tensor z = ToyFaces(9).features, base = shadow->reconstruct(z);
  const std::vector<int64_t> records{4, 0, 77, 78, 79, 1000, 3, 2, 1};
  const auto start = [&](uint64_t seed) {
    std::vector<float> d;
    for (int64_t record : records)
      for (uint64_t k = 0; k < uint64_t(kDim); ++k)
        d.push_back(0.1f * (2 * Philox{seed, uint64_t(record)}.uniform(k) - 1));
    return Tensor::from(d, z.shape());
  };
  const auto started = [&](uint64_t seed) { return l2_normalise(add(z, start(seed))); };
  for (uint64_t seed : {1, 2}) {
    // A step so short that what is left is the start.
    const AscentSettings still{.epsilon = 0.1, .steps = 1, .step_size = 2e-6, .seed = seed};
    const ProtectedRows at_start = Ascent(*shadow, still).protect(z, records);
    BOOST_TEST(relative_error(at_start.features, started(seed)) < 2e-5);
    BOOST_TEST(relative_error(at_start.features, started(3 - seed)) > 0.05);
    // The loss before is that of the images at the start.
    const AscentSettings usual{.epsilon = 0.1, .steps = 3, .seed = seed};
    const ProtectedRows result = Ascent(*shadow, usual).protect(z, records);
    const Tensor image = shadow->reconstruct(started(seed));
    for (int64_t i = 0; i < int64_t(records.size()); ++i) {
      const Tensor d = sub(image.slice_batch(i, i + 1), base.slice_batch(i, i + 1));
      const double expected = mean_all(mul(d, d)).item();
      const RecordReport& report = result.reports[size_t(i)];
      BOOST_TEST(report.record == records[size_t(i)]);
      BOOST_TEST(expected > 1e-9);
      BOOST_TEST(report.loss_before == expected, boost::test_tools::tolerance(1e-3));
      BOOST_TEST(report.loss_after > expected);
    }
  }
  // One step is the start plus alpha times the sign of the gradient there, inside the ball.
  const AscentSettings once{.epsilon = 0.1, .steps = 1, .step_size = 0.03, .seed = 1};
  const Tensor delta = start(1);
  Tape tape;
  Tensor grad;
  {
    const TapeScope scope(tape);
    const Tensor away = sub(shadow->forward(l2_normalise(add(z, delta))), base);
    grad = backward(tape, sum_all(mul(away, away)), {delta})[0];
  }
  const Tensor expected = l2_normalise(add(z, clamp(add(delta, affine(sign(grad), 0.03, 0)), -0.1, 0.1)));
  BOOST_TEST(relative_error(Ascent(*shadow, once).protect(z, records).features, expected) < 1e-5);
}

BOOST_AUTO_TEST_CASE(part_of_a_set_is_protected_as_the_whole_is) {
  const auto shadow = toy_shadow();
  const Tensor z = ToyFaces(40).features;
  Ascent protector(*shadow, {.epsilon = 0.05, .steps = 2, .seed = 3});
  const Tensor whole = protector.protect(z, 0).features;
  const std::vector<int64_t> rows{39, 3, 4, 5, 17, 0, 21};
  BOOST_TEST(
      same_bits(protector.protect(FeatureRows(z).at(rows), rows).features, FeatureRows(whole).at(rows)));
  BOOST_CHECK_THROW(protector.protect(z, rows), Error);
}

// At the size of a real embedding, where the products are cut into blocks; one Ascent and many calls.
BOOST_AUTO_TEST_CASE(a_protector_gives_every_record_the_same_bits) {
  DecoderInfo info = toy_info();
  info.spec = {"deconv", {512}, 64, 64};
  Decoder shadow(info, 4);
  const Tensor z = l2_normalise(randn({71, 512}, 6, DType::f32));
  Ascent protector(shadow, {.epsilon = 0.02, .steps = 3, .seed = 5});
  const ProtectedRows whole = protector.protect(z, 1000);
  BOOST_REQUIRE_EQUAL(whole.reports.size(), 71u);
  for (int64_t chunk : {1, 3, 29})
    for (int64_t begin = 0; begin < 71; begin += chunk) {
      const int64_t end = std::min<int64_t>(71, begin + chunk);
      const ProtectedRows part = protector.protect(z.slice_batch(begin, end), 1000 + begin);
      BOOST_TEST(same_bits(part.features, whole.features.slice_batch(begin, end)),
                 "chunk " << chunk << " at " << begin);
      for (int64_t i = begin; i < end; ++i) {
        BOOST_TEST(part.reports[size_t(i - begin)].record == 1000 + i);
        BOOST_TEST(part.reports[size_t(i - begin)].loss_before == whole.reports[size_t(i)].loss_before);
        BOOST_TEST(part.reports[size_t(i - begin)].loss_after == whole.reports[size_t(i)].loss_after);
      }
    }
  BOOST_TEST(protector.protect(z.slice_batch(0, 0), 0).reports.empty());
}

// Wherever rows lie, they are the same.
BOOST_AUTO_TEST_CASE(rows_in_memory_in_a_temporary_file_and_in_a_file) {
  const TempDir dir;
  const Tensor maps = randn({23, 3, 4, 5}, 3, DType::f32);
  save_npy(dir / "maps.npy", maps);
  FeatureSpool in_memory({3, 4, 5}, 1 << 20), in_file({3, 4, 5}, 1000, dir.path().string());
  for (int64_t begin = 0; begin < 23; begin += 4)
    for (FeatureSpool* spool : {&in_memory, &in_file})
      spool->append(maps.slice_batch(begin, std::min<int64_t>(23, begin + 4)));
  const std::vector<FeatureRows> all = {maps, FeatureRows::open(dir / "maps.npy"), in_memory.finish(),
                                        in_file.finish()};
  BOOST_TEST(std::distance(std::filesystem::directory_iterator(dir.path()), {}) == 1,
             "the temporary file has no name");
  for (const FeatureRows& rows : all) {
    BOOST_TEST(rows.shape() == maps.shape());
    BOOST_TEST(same_bits(rows.range(0, 23), maps));
    BOOST_TEST(same_bits(rows.range(7, 12), maps.slice_batch(7, 12)));
    BOOST_TEST(rows.range(5, 5).dim(0) == 0);
    const Tensor some = rows.at({22, 3, 4, 5, 0});
    for (const auto& [at, row] : {std::pair{0, 22}, {1, 3}, {2, 4}, {3, 5}, {4, 0}})
      BOOST_TEST(same_bits(some.slice_batch(at, at + 1), maps.slice_batch(row, row + 1)));
    BOOST_TEST(same_bits(rows.selected({9, 8}).at({1}), maps.slice_batch(8, 9)));
    BOOST_TEST(rows.sample_hash() == all[0].sample_hash());
    BOOST_TEST(rows.selected({9, 8}).sample_hash() != all[0].sample_hash());
    BOOST_CHECK_THROW(rows.at({23}), Error);
    BOOST_CHECK_THROW(rows.range(20, 24), Error);
  }
  save_npy(dir / "cube.npy", Tensor::zeros({2, 3, 4}));
  refused([&] { FeatureRows::open(dir / "cube.npy"); }, {"cube.npy", "[2,3,4]"});
}

BOOST_AUTO_TEST_CASE(what_cannot_be_protected_is_named) {
  const auto shadow = toy_shadow();
  auto broken = [&](float value, bool all) {
    auto v = ToyFaces(4).features.to_vector<float>();
    for (int64_t k = 0; k < (all ? kDim : 1); ++k) v[size_t(2 * kDim + k)] = value;
    return Tensor::from(v, {4, kDim});
  };
  for (const Tensor& z : {broken(NAN, false), broken(INFINITY, false), broken(0, true), broken(5, false)})
    BOOST_CHECK_EXCEPTION(protect(*shadow, z, 100, {}), Error, [](const Error& e) {
      return std::string(e.what()).find("record 102") != std::string::npos;
    });
  BOOST_CHECK_THROW(protect(*shadow, ToyFaces(2).features, 0, {.epsilon = -1}), Error);
  BOOST_CHECK_THROW(protect(*shadow, ToyFaces(2).features, 0, {.steps = 0}), Error);
}

namespace {

// Puts one number into a whole tensor of a network's state.
void fill(Module& module, const std::string& name, float value) {
  for (const Named& n : module.state())
    if (n.name == name) {
      *n.tensor = Tensor::full(n.tensor->shape(), double(value));
      return;
    }
  BOOST_FAIL("no tensor named " << name);
}

}  // namespace

// A shadow that is broken protects nothing, and says so instead of giving random noise.
BOOST_AUTO_TEST_CASE(a_broken_shadow_is_no_success) {
  const Tensor z = ToyFaces(3).features;
  const auto blind = toy_shadow();  // one image of everything
  fill(*blind, "net.head.weight", 0);
  for (const Method method : {Method::pgd, Method::fgsm, Method::adam})
    refused([&] { protect(*blind, z, 100, {.epsilon = 0.05, .method = method}); },
            {"the same image of different features"});
  BOOST_CHECK_NO_THROW(protect(*blind, z, 100, {.epsilon = 0}));
  // One that sees, but is asked to move by less than a float can.
  refused([&] { protect(*toy_shadow(), z, 100, {.epsilon = 0.05, .step_size = 1e-30}); },
          {"record 100", "at every step", "step size"});
  refused([&] { protect(*toy_shadow(), z, 100, {.epsilon = 1e-12}); }, {"record 100"});
  const auto broken = toy_shadow();
  for (const char* name : {"net.stem.bn.bias", "net.head.weight"}) {
    fill(*broken, name, NAN);
    refused([&] { protect(*broken, z, 100, {.epsilon = 0.05}); }, {"record 100", "the loss is"});
  }
}

BOOST_AUTO_TEST_CASE(weights_of_a_file_must_be_finite) {
  const TempDir dir;
  for (const float value : {NAN, INFINITY}) {
    const auto shadow = toy_shadow();
    fill(*shadow, "net.stem.bn.bias", value);
    shadow->save(dir / "broken.safetensors");
    refused([&] { Decoder::load(dir / "broken.safetensors"); },
            {"broken.safetensors", "net.stem.bn.bias", "not finite"});
  }
}

// At the loss, at the end of an epoch and when a checkpoint is written.
BOOST_AUTO_TEST_CASE(a_training_that_diverges_ends) {
  const TempDir dir;
  ToyRun run(1);
  Decoder decoder(toy_info(), 1);
  DecoderTrainer trainer(decoder, run.data, run.settings);
  trainer.step();
  fill(decoder, "net.head.weight", NAN);
  refused([&] { trainer.save_checkpoint(dir / "c"); }, {"epoch 1", "net.head.weight", "not finite"});
  BOOST_TEST(dir.count() == 0u);
  refused([&] { trainer.step(); }, {"diverged", "the loss is", "epoch 1"});

  // Statistics that only validation reads.
  Decoder other(toy_info(), 1);
  DecoderTrainer late(other, run.data, run.settings);
  while (late.steps_done() + 1 < late.batches_per_epoch()) late.step();
  fill(other, "net.stem.bn.running_mean", INFINITY);
  refused([&] { late.step(); }, {"epoch 1", "running_mean", "not finite"});
}

BOOST_AUTO_TEST_CASE(training_images_are_varied_by_row_and_draw) {
  const Tensor images = sigmoid(randn({8, 3, 20, 24}, 1, DType::f32));
  const std::vector<int64_t> rows{5, 900, 31, 7, 8, 12, 13, 2};
  const Philox rng{3, 1000};
  const std::vector<float> in = images.to_vector<float>(),
                           all = augmented(images, rows, rng, {}).to_vector<float>();
  const size_t size = in.size() / rows.size();
  BOOST_TEST(std::all_of(all.begin(), all.end(), [](float v) { return v >= 0 && v <= 1; }));
  BOOST_TEST((all != in));
  // Alone, in another epoch, at strength 0.
  int mirrored = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto of = [&](const std::vector<float>& v) {
      return std::vector<float>(v.begin() + int64_t(i * size), v.begin() + int64_t((i + 1) * size));
    };
    const Tensor one = images.slice_batch(int64_t(i), int64_t(i) + 1);
    BOOST_TEST((augmented(one, {rows[i]}, rng, {}).to_vector<float>() == of(all)));
    BOOST_TEST((augmented(one, {rows[i]}, Philox{3, 1001}, {}).to_vector<float>() != of(all)));
    const std::vector<float> plain = augmented(one, {rows[i]}, rng, {.strength = 0}).to_vector<float>();
    std::vector<float> reversed = of(in);
    for (auto line = reversed.begin(); line != reversed.end(); line += 24) std::reverse(line, line + 24);
    BOOST_TEST((plain == of(in) || plain == reversed));
    mirrored += plain == reversed;
  }
  BOOST_TEST((mirrored > 0 && mirrored < 8));
}

// What each change does, on ramps: across for place and size, even for light.
BOOST_AUTO_TEST_CASE(variations_of_training_images_are_as_large_as_asked) {
  constexpr int64_t kSide = 41;
  std::vector<float> ramp(3 * kSide * kSide);
  for (size_t i = 0; i < ramp.size(); ++i) ramp[i] = float(i % kSide) / kSide;
  const Tensor image = Tensor::from(ramp, {1, 3, kSide, kSide});
  const Augmentation none{.zoom = 0, .shift = 0, .turn = 0, .contrast = 0, .brightness = 0, .tint = 0};
  const auto varied = [&](Augmentation a, int64_t row) {
    return augmented(image, {row}, Philox{1, 1}, a).to_vector<float>();
  };
  const size_t middle = size_t(kSide / 2 * kSide + kSide / 2);
  double largest_shift = 0, largest_zoom = 0, largest_light = 0;
  for (int64_t row = 0; row < 60; ++row) {
    Augmentation shift = none, zoom = none, light = none;
    shift.shift = 0.1, zoom.zoom = 0.2, light.brightness = 0.1;
    const auto at = [&](const std::vector<float>& v, int x) { return double(v[middle + size_t(x)]) * kSide; };
    const std::vector<float> moved = varied(shift, row), sized = varied(zoom, row), lit = varied(light, row);
    const double by = std::abs(at(moved, 0) - double(kSide / 2));  // pixels
    BOOST_TEST(std::abs(at(moved, 3) - at(moved, 0)) == 3, boost::test_tools::tolerance(1e-3));
    BOOST_TEST(by <= 0.1 * kSide + 1e-3);
    largest_shift = std::max(largest_shift, by);
    const double step = std::abs(at(sized, 8) - at(sized, -8)) / 16;  // source pixels of one
    BOOST_TEST((step >= 1 / 1.2 - 1e-3 && step <= 1 / 0.8 + 1e-3));
    BOOST_TEST(at(sized, 0) == double(kSide / 2), boost::test_tools::tolerance(1e-3));
    largest_zoom = std::max(largest_zoom, std::abs(1 / step - 1));
    const double lighter = std::abs(double(lit[middle]) - double(ramp[middle]));
    BOOST_TEST(lighter <= 0.1 + 1e-6);
    largest_light = std::max(largest_light, lighter);
  }
  BOOST_TEST(largest_shift > 0.08 * kSide);
  BOOST_TEST(largest_zoom > 0.16);
  BOOST_TEST(largest_light > 0.08);
}

BOOST_AUTO_TEST_CASE(a_summary_names_what_is_not_usual) {
  AscentSettings s;
  BOOST_TEST(s.summary() == "epsilon 0.02");
  s.steps = 10;
  BOOST_TEST(s.summary() == "epsilon 0.02");
  s.steps = 30, s.step_size = 0.005;
  BOOST_TEST(s.summary() == "epsilon 0.02, steps 30, step size 0.005");
  s = {.method = Method::fgsm};
  BOOST_TEST(s.summary() == "epsilon 0.02, method fgsm");
}
