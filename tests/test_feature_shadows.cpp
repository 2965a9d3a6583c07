// Noise against networks of features, which stand for who links or asks for an attribute (their gradients:
// test_method_protect).
#define BOOST_TEST_MODULE feature_shadows
#include <boost/test/unit_test.hpp>
#include <cmath>

#include "advface/core/input_gradient.h"
#include "advface/networks/train_probe.h"
#include "advface/protections/ascent/ascent.h"
#include "advface/protections/ascent/first_step_fit.h"
#include "autograd/tape.h"
#include "feature_shadow_test_util.h"
#include "file_test_util.h"
#include "method_test_util.h"

using namespace advf;
using namespace advf::test;

namespace {

constexpr Objective kOfFeatures[] = {Objective::linkage, Objective::attribute, Objective::inversion};

struct Scene {
  Recogniser recogniser = toy_recogniser();
  std::unique_ptr<Decoder> decoder;
  std::map<Objective, std::unique_ptr<FeatureShadow>> shadows;
  Tensor features;

  explicit Scene(const std::string& cut = "e")
      : decoder(toy_decoder(recogniser, cut)), features(toy_features(recogniser, cut, 13, 5)) {
    for (const Objective objective : kOfFeatures)
      shadows[objective] = feature_shadow(objective, recogniser, *decoder);
  }
  const FeatureShadow& shadow(Objective objective) const { return *shadows.at(objective); }
  AscentNetworks models(Objective objective) const {
    return AscentNetworks::against({&shadow(objective)}, &recogniser);
  }
};

// Rows whose class is the sign of the first value, n of them, of unit length.
struct Signs {
  FeatureRows rows;
  std::vector<int64_t> cls, all;

  Signs(int64_t n, uint64_t seed) {
    const Tensor z = l2_normalise(randn({n, 8}, seed, DType::f32));
    for (int64_t i = 0; i < n; ++i) {
      cls.push_back(z.data<float>()[i * 8] > 0);
      all.push_back(i);
    }
    rows = FeatureRows(z);
  }
};

std::unique_ptr<AttributeProbe> trained_probe(const FeatureRows& rows, const std::vector<int64_t>& cls,
                                              uint64_t seed) {
  ProbeInfo info{{}, FeatureNetSpec::usual({8}), {"Sign"}};
  info.domain = FeatureDomain::sphere;
  info.spec.width = 16;
  info.spec.blocks = 1;
  auto probe = std::make_unique<AttributeProbe>(info, seed);
  ProbeTraining data{rows, {cls}, {}, {}};
  for (int64_t i = 0; i < rows.count(); ++i) (i % 5 == 0 ? data.validation : data.train).push_back(i);
  AttributeProbeTrainer trainer(*probe, data,
                                {.epochs = 30, .batch = 32, .learning_rate = 3e-3, .seed = seed});
  while (!trainer.done()) trainer.step();
  probe->train(false);
  return probe;
}

double accuracy(const AttributeProbe& probe, const FeatureRows& rows, const std::vector<int64_t>& cls) {
  const NoTapeScope off;
  const std::vector<float> odds = probe.forward(rows.batch(0, rows.count())).to_vector<float>();
  double right = 0;
  for (size_t i = 0; i < cls.size(); ++i) right += (odds[i] > 0) == (cls[i] == 1);
  return right / double(cls.size());
}

double mean_loss(const ProtectedRows& p, double RecordReport::*which) {
  double sum = 0;
  for (const RecordReport& r : p.reports) sum += r.*which;
  return sum / double(p.reports.size());
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_report_says_what_the_network_makes_of_the_noise) {
  for (const char* cut : {"e", "p"}) {
    const Scene scene(cut);
    for (const Objective objective : kOfFeatures) {
      const AscentSettings s{.epsilon = *cut == 'e' ? 0.1 : 0.5, .steps = 40, .objective = objective};
      const ProtectedRows p = protect(scene.models(objective), scene.features, 0, s, {});
      const NoTapeScope off;
      const FeatureShadow& shadow = scene.shadow(objective);
      const std::vector<float> after =
          shadow.loss(p.features, shadow.reference(scene.features)).to_vector<float>();
      for (size_t i = 0; i < after.size(); ++i)
        BOOST_TEST(std::fabs(double(after[i]) - p.reports[i].loss_after) < 1e-4, cut << " " << i);
      // Noise of the same ball in a random direction does less.
      const double chance = mean_loss(p, &RecordReport::loss_before),
                   found = mean_loss(p, &RecordReport::loss_after);
      BOOST_TEST(found > chance + 0.1 * std::fabs(chance), cut << ": " << chance << " -> " << found);
    }
  }
}

// The border, and not the other side of it: what is stored says neither to the probe that the noise was made
// against nor to one that is trained on such rows, which would find a class that was turned round.
BOOST_AUTO_TEST_CASE(an_attribute_is_neither_told_nor_turned_round) {
  const Signs known(600, 1), asked(300, 2);
  auto probe = trained_probe(known.rows, known.cls, 3);
  BOOST_TEST(accuracy(*probe, asked.rows, asked.cls) > 0.9);
  const AttributeShadow shadow(std::move(probe));
  const AscentNetworks networks = AscentNetworks::against({&shadow}, nullptr);
  const AscentSettings settings{
      .epsilon = 1, .steps = 60, .objective = Objective::attribute, .norm = Norm::l2};
  const auto guarded = [&](const Signs& set, int64_t first) {
    return FeatureRows(protect(networks, set.rows.range(0, set.rows.count()), first, settings, {}).features);
  };
  const FeatureRows stored = guarded(asked, 0);
  const auto rms = [&](const FeatureRows& rows) {
    const NoTapeScope off;
    double sum = 0;
    for (const float odds : shadow.reference(rows.batch(0, rows.count())).to_vector<float>())
      sum += double(odds) * double(odds);
    return std::sqrt(sum / double(rows.count()));
  };
  BOOST_TEST(rms(stored) < 0.2 * rms(asked.rows));
  const auto adapted = trained_probe(guarded(known, 1000), known.cls, 4);
  const double told = accuracy(*adapted, stored, asked.cls);
  BOOST_TEST_MESSAGE("a probe trained on what is stored tells " << told);
  BOOST_TEST(told < 0.8);
}

// What is fitted beside gradients that a tape gives: inner products of first steps are those of the pictures'
// gradients at the mean face, and noise turns the gradient itself away.
BOOST_AUTO_TEST_CASE(the_first_step_of_an_inversion) {
  const Recogniser recogniser = toy_recogniser();
  const int64_t n = 20;
  const Tensor photographs = toy_images(n, 5), z = toy_features(recogniser, "e", n, 5);
  FitData data;
  data.features = FeatureRows(z);
  for (int64_t i = 0; i < n; ++i)
    data.person.push_back(i), (i < 16 ? data.train : data.validation).push_back(i);
  data.faces = [&](const std::vector<int64_t>& rows, int size) {
    std::vector<Tensor> list;
    for (const int64_t r : rows) list.push_back(photographs.slice_batch(r, r + 1));
    return resize2d(concat(list, 0), {.size = {size, size}});
  };
  data.provenance.cut = "e";
  data.provenance.recogniser = recogniser.fingerprint();
  data.provenance.domain = FeatureDomain::sphere;
  const TempDir dir;
  FirstStepFit fit;
  const auto refused = [&](const FitData& wrong, const std::string& word) {
    BOOST_CHECK_EXCEPTION(fit.fit(wrong, dir / "wrong", {}), Error, [&](const Error& e) {
      return std::string(e.what()).find(word) != std::string::npos;
    });
    BOOST_TEST(!std::filesystem::exists(dir / "wrong"));
  };
  refused(data, "name its card");
  data.recogniser = &recogniser;
  fit.fit(data, dir / "step", {});
  auto step = FirstStep::load(dir / "step");
  const int64_t d = z.dim(1);

  // The same by a tape, of each feature at once.
  std::vector<int64_t> all(16);
  for (int64_t i = 0; i < 16; ++i) all[size_t(i)] = i;
  const Tensor face = affine(reduce_sum(data.faces(all, 64), {0}, true), 1.0 / 16, 0);
  const auto gradients = [&](const Tensor& rows) {
    InputGradient at_mean([&](const Tensor& x) { return recogniser.features(recogniser.preprocess(x), "e"); },
                          {rows.dim(0), 3, 64, 64});
    at_mean.set_images(broadcast_to(face, {rows.dim(0), 3, 64, 64}));
    return reshape(at_mean.along(rows), {rows.dim(0), 3 * 64 * 64});
  };
  const auto cosine_of = [](const Tensor& a, const Tensor& b, int64_t i, int64_t j) {
    const size_t k = size_t(a.dim(1));
    return cosine({a.data<float>() + size_t(i) * k, k}, {b.data<float>() + size_t(j) * k, k});
  };
  const NoTapeScope off;
  const Tensor g = gradients(z), told = step->forward(z).on_host();
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < i; ++j)
      BOOST_TEST(std::fabs(cosine_of(g, g, i, j) - cosine_of(told, told, i, j)) < 1e-3);

  // Noise of one size turns the gradient further than noise at random does.
  const AscentShadow shadow(std::move(step));
  const AscentNetworks networks = AscentNetworks::against({&shadow}, nullptr);
  const ProtectedRows found = protect(
      networks, z, 0, {.epsilon = 0.4, .steps = 40, .objective = Objective::inversion, .norm = Norm::l2}, {});
  const Tensor after = gradients(found.features), chance = [&] {
    const Tensor away = l2_normalise(randn({n, d}, 9, DType::f32));
    return gradients(l2_normalise(add(z, affine(away, 0.4, 0))));
  }();
  double kept = 0, kept_by_chance = 0;
  for (int64_t i = 0; i < n; ++i)
    kept += cosine_of(g, after, i, i) / double(n), kept_by_chance += cosine_of(g, chance, i, i) / double(n);
  BOOST_TEST(kept < kept_by_chance - 0.05, kept << " by noise, " << kept_by_chance << " by chance");

  FitData wrong = data;
  wrong.provenance.domain = FeatureDomain::real;
  refused(wrong, "no unit vectors");
  for (const size_t bytes : {size_t(0), size_t(100), read_bytes(dir / "step").size() - 4}) {
    write_bytes(dir / "cut", read_bytes(dir / "step").substr(0, bytes));
    BOOST_CHECK_THROW(FirstStep::load(dir / "cut"), Error);
  }
}

BOOST_AUTO_TEST_CASE(a_probe_reads_back_from_its_file) {
  const Signs known(200, 1);
  const auto probe = trained_probe(known.rows, known.cls, 3);
  const TempDir dir;
  probe->save(dir / "probe");
  const auto again = AttributeProbe::load(dir / "probe");
  const NoTapeScope off;
  const Tensor rows = known.rows.batch(0, 20);
  BOOST_TEST(same_bits(probe->forward(rows).on_host(), again->forward(rows).on_host()));
  BOOST_TEST(again->info().attributes == (std::vector<std::string>{"Sign"}),
             boost::test_tools::per_element());
  write_bytes(dir / "cut", read_bytes(dir / "probe").substr(0, 600));
  BOOST_CHECK_THROW(AttributeProbe::load(dir / "cut"), Error);
}

BOOST_AUTO_TEST_CASE(networks_of_features_and_decoders_do_not_mix) {
  const Scene scene;
  const auto refused = [&](const AscentNetworks& networks, const AscentSettings& s, const std::string& word) {
    BOOST_CHECK_EXCEPTION(Ascent(networks, s), Error, [&](const Error& e) {
      return std::string(e.what()).find(word) != std::string::npos;
    });
  };
  refused({*scene.decoder, &scene.recogniser}, {.objective = Objective::linkage},
          "networks of features, not decoders");
  refused(scene.models(Objective::linkage), {}, "decoders, not networks of features");
  refused(scene.models(Objective::linkage), {.objective = Objective::linkage, .loss = Loss::structure},
          "looks at no image");
}
