// The protection at toy size: every objective, loss, method and norm; its bounds, and what a record depends
// on.
#define BOOST_TEST_MODULE method_protect
#include <boost/test/unit_test.hpp>
#include <cmath>

#include "advface/protections/ascent/ascent.h"
#include "advface/protections/ascent/noise.h"
#include "autograd/gradcheck.h"
#include "autograd/tape.h"
#include "feature_shadow_test_util.h"
#include "file_test_util.h"
#include "method_test_util.h"
#include "tensor/parallel.h"

using namespace advf;
using namespace advf::test;

namespace {

// A recogniser, a cut, and shadows for it.
struct Scene {
  Recogniser recogniser = toy_recogniser();
  std::vector<std::unique_ptr<Decoder>> shadows;
  Tensor features, photographs;

  explicit Scene(const std::string& cut = "e", int64_t n = 13, std::vector<std::string> names = {"deconv"}) {
    for (size_t i = 0; i < names.size(); ++i)
      shadows.push_back(toy_decoder(recogniser, cut, names[i], 1 + i));
    photographs = toy_images(n, 5);
    features = toy_features(recogniser, cut, n, 5);
    for (const Objective objective : {Objective::linkage, Objective::attribute, Objective::inversion})
      of_features[objective] = feature_shadow(objective, recogniser, *shadows[0]);
  }
  std::map<Objective, std::unique_ptr<FeatureShadow>> of_features;
  AscentNetworks models(const AscentSettings& settings = {}) const {
    if (settings.is_of_features())
      return AscentNetworks::against({of_features.at(settings.objective).get()}, &recogniser);
    std::vector<const Decoder*> list;
    for (const auto& s : shadows) list.push_back(s.get());
    return {list, &recogniser};
  }
  ProtectedRows run(const AscentSettings& settings, int64_t begin = 0, int64_t end = -1) const {
    if (end < 0) end = features.dim(0);
    const bool original = settings.objective == Objective::original;
    return protect(models(settings), features.slice_batch(begin, end), begin, settings,
                   original ? photographs.slice_batch(begin, end) : Tensor());
  }
};

double mean_loss(const ProtectedRows& p, double RecordReport::*which) {
  double sum = 0;
  for (const RecordReport& r : p.reports) sum += r.*which;
  return sum / double(p.reports.size());
}

double norm_of(const Tensor& a, const Tensor& b, int64_t row) {
  const int64_t d = a.numel() / a.dim(0);
  double sum = 0;
  for (int64_t k = row * d; k < (row + 1) * d; ++k)
    sum += std::pow(double(a.data<float>()[k]) - double(b.data<float>()[k]), 2);
  return std::sqrt(sum);
}

template <class E>
std::vector<E> all() {
  std::vector<E> list;
  for (const Choice<E>& c : choices<E>()) list.push_back(c.value);
  return list;
}

// The methods that climb; a generator needs a network (test_feature_nets.cpp).
std::vector<Method> ascents() {
  std::vector<Method> list = all<Method>();
  return list;
}

std::vector<AscentSettings> every_setting() {
  std::vector<AscentSettings> list;
  for (Objective objective : all<Objective>())
    for (Loss loss : all<Loss>()) {
      AscentSettings s{.epsilon = 0.1, .seed = 3};
      s.objective = objective;
      s.loss = loss;
      if (s.is_of_features() && loss != Loss::pixel) continue;  // there is no image
      list.push_back(s);
    }
  for (Method method : ascents())
    for (Norm norm : all<Norm>()) {
      AscentSettings s{.epsilon = norm == Norm::l2 ? 0.3 : 0.1, .seed = 3};
      s.method = method;
      s.norm = norm;
      list.push_back(s);
    }
  return list;
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_objective_ascends) {
  for (const char* cut : {"e", "p", "c"}) {
    const Scene scene(cut);
    for (AscentSettings s : every_setting()) {
      if (*cut != 'e') s.epsilon = 0.5;  // deviations
      const ProtectedRows p = scene.run(s);
      // The original is far away as it is; the objectives that begin near zero grow much.
      const double before = mean_loss(p, &RecordReport::loss_before),
                   after = mean_loss(p, &RecordReport::loss_after);
      // What comes near the mean face is a distance that shrinks, below zero.
      BOOST_TEST((after < 0) == (s.objective == Objective::mean_face || s.objective == Objective::attribute));
      BOOST_TEST(after > (s.objective == Objective::direct ? 1.2 : 1.0) * before,
                 cut << ": " << s.summary() << ": " << before << " -> " << after);
    }
  }
}

// The loss of every objective in f64, along the noise, against central differences.
BOOST_AUTO_TEST_CASE(gradients_of_every_objective) {
  const BackendScope scope(backend("reference"));
  for (const char* cut : {"e", "p"}) {
    const Recogniser r = toy_recogniser(DType::f64);
    auto one = toy_decoder(toy_recogniser(), cut, "deconv", 1),
         two = toy_decoder(toy_recogniser(), cut, "resup", 2);
    for (Decoder* d : {one.get(), two.get()}) d->to(DType::f64);
    const Tensor photographs = toy_images(2, 5).to(DType::f64);
    const Tensor z = r.features(r.preprocess(photographs), cut);
    for (Ensemble ensemble : all<Ensemble>())
      for (const AscentSettings& base : every_setting()) {
        if (base.method != Method::pgd || base.norm != Norm::linf) continue;
        AscentSettings s = base;
        s.ensemble = ensemble;
        std::vector<std::unique_ptr<FeatureShadow>> of_features;
        AscentNetworks models({one.get(), two.get()}, &r);
        if (s.is_of_features()) {
          std::vector<const FeatureShadow*> list;
          for (const uint64_t seed : {1, 2}) {
            of_features.push_back(feature_shadow(s.objective, r, *one, seed));
            const_cast<TrainedNetwork&>(of_features.back()->network()).to(DType::f64);
            list.push_back(of_features.back().get());
          }
          models = AscentNetworks::against(list, &r);
        }
        const ObjectiveFunction f(models, s);
        const auto targets = f.targets(z, photographs);
        const double error = gradient_error(
            [&](const std::vector<Tensor>& d) { return std::vector<Tensor>{f.loss(targets, d[0])}; },
            {affine(randn(z.shape(), 8), 0.1, 0.003)}, {true}, 4, 1e-6, 1);
        BOOST_TEST(error < 1e-5, cut << ": " << s.summary());
      }
  }
}

BOOST_AUTO_TEST_CASE(noise_stays_where_it_may) {
  for (const char* cut : {"e", "p", "c"}) {
    const Scene scene(cut);
    const Tensor deviation = scene.shadows[0]->statistics().feature_std;
    for (Method method : ascents())
      for (Norm norm : all<Norm>()) {
        AscentSettings s{.epsilon = 0.2, .seed = 4};
        s.method = method;
        s.norm = norm;
        const ProtectedRows p = scene.run(s);
        const int64_t n = scene.features.dim(0), d = scene.features.numel() / n;
        const float *z = scene.features.data<float>(), *y = p.features.data<float>();
        for (int64_t i = 0; i < n; ++i) {
          double squares = 0, length = 0, largest = 0;
          for (int64_t k = 0; k < d; ++k) {
            const double v = double(y[i * d + k]);
            length += v * v;
            if (*cut == 'p') BOOST_REQUIRE(v >= 0);
            const double unit =
                *cut == 'e' ? 1 : double(deviation.data<float>()[k / (d / deviation.numel())]);
            const double u = (v - double(z[i * d + k])) / unit;
            squares += u * u;
            largest = std::max(largest, std::abs(u));
          }
          const std::string where = std::string(cut) + ": " + s.summary();
          if (*cut == 'e') {
            BOOST_TEST(std::abs(std::sqrt(length) - 1) < 1e-5, where);
            if (norm == Norm::l2) BOOST_TEST(std::sqrt(squares) < 0.2 + 1e-5, where);
          } else if (norm == Norm::l2) {
            BOOST_TEST(std::sqrt(squares / double(d)) < 0.2 + 1e-5, where);
            BOOST_TEST(largest > 0.2, where);  // it is the mean that is bounded
          } else {
            BOOST_TEST(largest < 0.2 + 1e-5, where);
          }
        }
      }
  }
}

// The closed form against its definition: inside, the point itself; outside, the border on the same arc.
BOOST_AUTO_TEST_CASE(the_cap_is_projected_on_exactly) {
  const Tensor z = l2_normalise(randn({64, 9}, 1, DType::f32)),
               u = affine(randn({64, 9}, 2, DType::f32), 0.2, 0);
  for (const double radius : {1e-3, 0.05, 0.5, 1.2, 2.5}) {
    const NoiseSpace space{FeatureDomain::sphere, Norm::l2, radius, {}};
    const Tensor got = add(z, project(space, z, u)), q = l2_normalise(add(z, u));
    for (int64_t i = 0; i < 64; ++i) {
      const float *a = z.data<float>() + i * 9, *b = q.data<float>() + i * 9, *c = got.data<float>() + i * 9;
      const double chord = norm_of(q, z, i), far = norm_of(got, z, i);
      BOOST_TEST(std::abs(far - std::min(chord, radius)) < 1e-6 + 1e-4 * std::min(chord, radius));
      // On the arc: angles add up.
      double ab = 0, ac = 0, cb = 0, cc = 0;
      for (int k = 0; k < 9; ++k) {
        ab += double(a[k]) * double(b[k]);
        ac += double(a[k]) * double(c[k]);
        cb += double(c[k]) * double(b[k]);
        cc += double(c[k]) * double(c[k]);
      }
      BOOST_TEST(std::abs(cc - 1) < 1e-5);
      const auto angle = [](double cosine) { return std::acos(std::clamp(cosine, -1.0, 1.0)); };
      BOOST_TEST(std::abs(angle(ac) + angle(cb) - angle(ab)) < 2e-3);
    }
    const Tensor again = project(space, z, project(space, z, u));
    BOOST_TEST(relative_error(again, project(space, z, u)) < 1e-3);
  }
  const NoiseSpace nothing{FeatureDomain::sphere, Norm::l2, 0, {}};
  BOOST_TEST(norm_of(add(z, project(nothing, z, u)), z, 0) < 1e-6);
}

// Momentum, step, projection and normalisation in one op, and as the ops that they are made of: the noise,
// the feature that it leads to, the momentum.
BOOST_AUTO_TEST_CASE(a_fused_step_is_the_step) {
  for (const char* device : {"reference", "cpu"}) {
    const BackendScope scope(backend(device));
    const DType type = *device == 'r' ? DType::f64 : DType::f32;
    const double bound = *device == 'r' ? 1e-11 : 2e-5;
    for (FeatureDomain domain : {FeatureDomain::sphere, FeatureDomain::non_negative, FeatureDomain::real})
      for (const bool map : {false, true})
        for (Norm norm : all<Norm>())
          for (Method method : {Method::pgd, Method::mi_fgsm}) {
            if (map && domain == FeatureDomain::sphere) continue;
            const Shape shape = map ? Shape{3, 4, 5, 6} : Shape{3, 23};
            NoiseSpace space{domain, norm, norm == Norm::l2 ? 0.9 : 0.3, {}};
            if (map) space.scale = affine(abs(randn({1, 4, 1, 1}, 3, type)), 1, 0.1);
            Tensor z = randn(shape, 4, type);
            if (domain == FeatureDomain::sphere) z = l2_normalise(z);
            if (domain == FeatureDomain::non_negative) z = abs(z);
            const Tensor u = project(space, z, affine(randn(shape, 5, type), 0.4, 0)),
                         g = randn(shape, 6, type), m = affine(randn(shape, 7, type), 0.01, 0);
            const auto feature = [&](const Tensor& noise) {
              const Tensor x = add(z, in_feature_units(space, noise));
              return domain == FeatureDomain::sphere ? l2_normalise(x) : x;
            };
            AscentSettings settings{.epsilon = 0.3, .steps = 2};
            settings.method = method;
            settings.norm = norm;
            const UpdateRule rule(settings, Shape{23});
            const std::vector<Tensor> memory =
                method == Method::pgd ? std::vector<Tensor>{} : std::vector<Tensor>{m};
            Tape tape;
            Tensor along;
            {
              const TapeScope record(tape);
              along = sum_all(mul(feature(u), g));
            }
            const Tensor grad = backward(tape, along, {u})[0];
            const UpdateRule::Step parts = rule.step(space, z, u, grad, memory);
            const UpdateRule::FusedStep fused = rule.fused_step(space, z, u, g, memory);
            const std::string where = std::string(device) + ", " + name_of(domain) + ", " +
                                      settings.summary() + (map ? ", map" : ", vector");
            BOOST_TEST(relative_error(parts.u, u) > 0.01, where);
            BOOST_TEST(relative_error(fused.u, parts.u) < bound, where);
            BOOST_TEST(relative_error(fused.x, feature(parts.u)) < bound, where);
            BOOST_REQUIRE(fused.memory.size() == memory.size());
            if (!memory.empty()) BOOST_TEST(relative_error(fused.memory[0], parts.memory[0]) < bound, where);
          }
  }
}

// The loss before each step is that which an ascent of fewer steps ends with.
BOOST_AUTO_TEST_CASE(the_trace_of_losses) {
  const Scene scene("e", 5);
  for (Method method : {Method::pgd, Method::mi_fgsm, Method::adam}) {
    AscentSettings s{.epsilon = 0.1, .steps = 19, .step_size = 0.01, .seed = 3};
    s.method = method;
    const ProtectedRows whole = scene.run(s);
    for (const RecordReport& r : whole.reports) {
      BOOST_REQUIRE(r.losses.size() == 20u);
      BOOST_TEST(double(r.losses.front()) == r.loss_before);
      BOOST_TEST(double(r.losses.back()) == r.loss_after);
    }
    for (const int steps : {1, 7, 18}) {
      s.steps = steps;
      const ProtectedRows part = scene.run(s);
      for (size_t i = 0; i < part.reports.size(); ++i)
        BOOST_TEST(double(whole.reports[i].losses[size_t(steps)]) == part.reports[i].loss_after,
                   boost::test_tools::tolerance(1e-4));
    }
  }
}

BOOST_AUTO_TEST_CASE(fgsm_is_one_step_of_length_epsilon) {
  for (const char* cut : {"e", "p"})
    for (Norm norm : all<Norm>()) {
      const Scene scene(cut);
      AscentSettings fgsm{.epsilon = 0.1, .seed = 3},
          pgd{.epsilon = 0.1, .steps = 1, .step_size = 0.1, .seed = 3};
      fgsm.method = Method::fgsm;
      fgsm.norm = pgd.norm = norm;
      BOOST_TEST(same_bits(scene.run(fgsm).features, scene.run(pgd).features));
    }
}

// Bit for bit, in any chunks and at any number of threads.
BOOST_AUTO_TEST_CASE(a_record_depends_on_nothing_but_itself) {
  for (const char* cut : {"e", "p"}) {
    const Scene scene(cut, 13, {"deconv", "resup"});
    std::vector<AscentSettings> list = every_setting();
    list.push_back(list[0]);
    list.back().keep_recognition = 0.99;
    list.push_back(list[0]);
    list.back().ensemble = Ensemble::hardest;
    for (AscentSettings s : list) {
      s.steps = s.method == Method::fgsm ? std::optional<int>() : 3;
      set_num_threads(1);
      const Tensor whole = scene.run(s).features;
      set_num_threads(2);
      for (int64_t chunk : {1, 5}) {
        bool same = true;
        for (int64_t begin = 0; begin < 13; begin += chunk) {
          const int64_t end = std::min<int64_t>(13, begin + chunk);
          same = same && same_bits(scene.run(s, begin, end).features, whole.slice_batch(begin, end));
        }
        BOOST_TEST(same, cut << ", chunks of " << chunk << ": " << s.summary());
      }
      set_num_threads(0);
    }
  }
}

BOOST_AUTO_TEST_CASE(records_are_numbered_as_asked) {
  const Scene scene;
  const std::vector<int64_t> numbers{7, 3, 1000};
  Ascent protector(scene.models(), {.epsilon = 0.1, .steps = 2});
  const ProtectedRows p = protector.protect(scene.features.slice_batch(0, 3), numbers);
  for (size_t i = 0; i < 3; ++i) {
    BOOST_TEST(p.reports[i].record == numbers[i]);
    const ProtectedRows one =
        protector.protect(scene.features.slice_batch(int64_t(i), int64_t(i) + 1), numbers[i]);
    BOOST_TEST(same_bits(one.features, p.features.slice_batch(int64_t(i), int64_t(i) + 1)));
  }
}

BOOST_AUTO_TEST_CASE(recognition_is_kept) {
  for (const char* cut : {"e", "p"}) {
    const Scene scene(cut);
    AscentSettings free{.epsilon = *cut == 'e' ? 0.4 : 3.0, .seed = 3};
    free.keep_recognition = 0;
    const ProtectedRows loose = scene.run(free);
    AscentSettings all = free;
    all.keep_recognition = 1;
    refused([&] { scene.run(all); }, {"record", "noise is nothing", "leaves no room"});
    for (double least : {0.9, 0.999}) {
      AscentSettings s = free;
      s.keep_recognition = least;
      const ProtectedRows p = scene.run(s);
      int bounded = 0;
      for (size_t i = 0; i < p.reports.size(); ++i) {
        const RecordReport& r = p.reports[i];
        BOOST_TEST(r.recognition >= least);
        bounded += r.kept < 1;
        // A record within the bound is left alone.
        const int64_t row = int64_t(i);
        if (loose.reports[i].recognition >= least)
          BOOST_TEST(
              same_bits(p.features.slice_batch(row, row + 1), loose.features.slice_batch(row, row + 1)));
        // What is reported is what H says about the stored feature.
        const auto a = scene.recogniser.embed_from(scene.features.slice_batch(row, row + 1), cut),
                   b = scene.recogniser.embed_from(p.features.slice_batch(row, row + 1), cut);
        BOOST_TEST(std::abs(sum_all(mul(a, b)).item() - r.recognition) < 1e-5);
      }
      BOOST_TEST((bounded > 0 || least < 0.99));
      BOOST_TEST(mean_loss(p, &RecordReport::loss_after) <= mean_loss(loose, &RecordReport::loss_after));
    }
  }
}

BOOST_AUTO_TEST_CASE(several_shadows) {
  const Scene both("e", 13, {"deconv", "resup"}), one("e");
  const size_t records = size_t(both.features.dim(0));
  AscentSettings s{.epsilon = 0.1, .steps = 5, .seed = 3};
  const AscentNetworks each[] = {{{both.shadows[0].get()}, nullptr}, {{both.shadows[1].get()}, nullptr}};
  // The random start is the same for every list of shadows.
  const ProtectedRows alone[] = {protect(each[0], both.features, 0, s),
                                 protect(each[1], both.features, 0, s)};
  const auto together = [&](double a, double b) {
    return s.ensemble == Ensemble::mean ? (a + b) / 2 : std::min(a, b);
  };
  for (Ensemble ensemble : all<Ensemble>()) {
    s.ensemble = ensemble;
    const ProtectedRows p = both.run(s);
    double start[] = {0, 0}, end[] = {0, 0};
    Tensor moved[2];
    for (size_t k = 0; k < 2; ++k)
      moved[k] = sub(both.shadows[k]->forward(p.features), both.shadows[k]->forward(both.features));
    for (size_t i = 0; i < records; ++i) {
      double loss[2];
      for (size_t k = 0; k < 2; ++k) {
        loss[k] = mean_all(power(moved[k].slice_batch(int64_t(i), int64_t(i) + 1), 2)).item();
        start[k] += alone[k].reports[i].loss_before;
        end[k] += loss[k];
      }
      const auto close = boost::test_tools::tolerance(1e-4);
      BOOST_TEST(p.reports[i].loss_after == together(loss[0], loss[1]), close);
      BOOST_TEST(p.reports[i].loss_before ==
                     together(alone[0].reports[i].loss_before, alone[1].reports[i].loss_before),
                 close);
    }
    // Noise for both moves the images of both further than random noise does.
    for (size_t k = 0; k < 2; ++k) BOOST_TEST(end[k] > 1.02 * start[k], s.summary() << ", shadow " << k);
  }
  // The hardest of a shadow and itself is that shadow.
  const AscentNetworks same({one.shadows[0].get(), one.shadows[0].get()}, nullptr);
  s.ensemble = Ensemble::hardest;
  BOOST_TEST(relative_error(protect(same, one.features, 0, s).features, one.run(s).features) < 1e-6);
  // Shadows of different cuts do not go together.
  const Scene maps("p");
  const AscentNetworks mixed({one.shadows[0].get(), maps.shadows[0].get()}, nullptr);
  refused([&] { Ascent(mixed, s); }, {"[12]", "[8,7,7]"});
}

BOOST_AUTO_TEST_CASE(batch_norm_modes) {
  for (const char* cut : {"e", "p"}) {
    const Scene scene(cut, 70);
    AscentSettings s{.epsilon = 0.1, .steps = 3, .seed = 3};
    const Tensor running = scene.run(s).features;
    s.batch_norm = BatchNormMode::batch;
    Ascent protector(scene.models(), s);
    const ProtectedRows p = protector.protect(scene.features, 0);
    BOOST_TEST(mean_loss(p, &RecordReport::loss_after) > mean_loss(p, &RecordReport::loss_before));
    BOOST_TEST(!same_bits(p.features, running));
    BOOST_TEST(same_bits(protector.protect(scene.features, 0).features, p.features));
    BOOST_CHECK_THROW(protector.protect(scene.features.slice_batch(0, 1), 0), Error);
    // Tracing in training mode leaves the shadow as it was.
    s.batch_norm = BatchNormMode::running;
    BOOST_TEST(same_bits(scene.run(s).features, running));

    recalibrate(*scene.shadows[0], 70,
                [&](int64_t b, int64_t e) { return scene.features.slice_batch(b, e); });
    s.batch_norm = BatchNormMode::recalibrated;
    const Tensor whole = scene.run(s).features;
    BOOST_TEST(!same_bits(whole, running));
    BOOST_TEST(same_bits(scene.run(s, 40, 53).features, whole.slice_batch(40, 53)));
  }
}

BOOST_AUTO_TEST_CASE(what_cannot_be_done_is_named) {
  const Scene scene, maps("p");
  const auto refuse = [&](const Scene& on, AscentSettings s, const std::vector<std::string>& words) {
    refused([&] { protect(*on.shadows[0], on.features, 0, s); }, words);
  };
  AscentSettings s;
  s.objective = Objective::cycle;
  refuse(scene, s, {"cycle", "recogniser"});
  s = {};
  s.loss = Loss::identity;
  refuse(scene, s, {"identity", "recogniser"});
  s = {};
  s.keep_recognition = 0.9;
  protect(*scene.shadows[0], scene.features, 0, s);  // at the embedding H is the identity
  refuse(maps, s, {"recogniser"});
  s.keep_recognition = 1.5;
  refuse(scene, s, {"1.5"});
  s = {};
  s.objective = Objective::original;
  refuse(scene, s, {"photograph"});
  s = {};
  s.method = Method::fgsm;
  s.steps = 3;
  refuse(scene, s, {"fgsm", "3"});
  // Another recogniser than the shadow's.
  auto stranger = toy_decoder(scene.recogniser, "e");
  DecoderInfo info = stranger->info();
  info.recogniser = "ffffffffffffffff";
  Decoder other(info, 1);
  refused([&] { Ascent(AscentNetworks(other, &scene.recogniser), {}); },
          {"ffffffffffffffff", scene.recogniser.fingerprint()});
  // Outside the domain.
  std::vector<float> negative = maps.features.to_vector<float>();
  negative[5] = -1;
  refused([&] { protect(*maps.shadows[0], Tensor::from(negative, maps.features.shape()), 40, {}); },
          {"record 40", "-1", "negative"});
}
