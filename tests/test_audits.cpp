// Audits without a picture, on planted data: readers of protected features, linkage, attributes.
#define BOOST_TEST_MODULE audits
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <numeric>
#include <set>

#include "advface/audit/attribute_audit.h"
#include "advface/audit/linkage_audit.h"
#include "advface/audit/metrics.h"
#include "advface/networks/train_reader.h"
#include "file_test_util.h"
#include "method_test_util.h"
#include "tensor/parallel.h"

using namespace advf;
using namespace advf::test;

namespace {

bool contains(const Interval& i, double value) { return i.low <= value && value <= i.high; }

// People with `photos` unit vectors each, `spread` around a direction of their own.
struct Crowd {
  static constexpr int64_t kPeople = 60, kPhotos = 3, kDim = 24;
  Tensor rows;
  std::vector<int64_t> person;

  explicit Crowd(double spread) {
    const std::vector<float> centres = randn({kPeople, kDim}, 1, DType::f32).to_vector<float>();
    std::vector<float> values = randn({kPeople * kPhotos, kDim}, 2, DType::f32).to_vector<float>();
    for (int64_t r = 0; r < kPeople * kPhotos; ++r) {
      person.push_back(r / kPhotos);
      for (int64_t k = 0; k < kDim; ++k) {
        float& v = values[size_t(r * kDim + k)];
        v = centres[size_t(r / kPhotos * kDim + k)] + float(spread) * v;
      }
    }
    rows = l2_normalise(Tensor::from(values, {kPeople * kPhotos, kDim}));
  }
  LinkageTask task() const {
    std::vector<int64_t> all(person.size());
    std::iota(all.begin(), all.end(), int64_t(0));
    return linkage_task(all, person, "crowd");
  }
  LinkageRow score(const LinkageTask& task) const {
    return score_linkage(task, FeatureRows(rows).at(task.gallery), FeatureRows(rows).at(task.probes));
  }
};

Provenance provenance(const Recogniser& r, FeatureDomain domain) {
  Provenance from;
  from.cut = "e";
  from.recogniser = r.fingerprint();
  from.domain = domain;
  from.people = {person_key("anna")};
  return from;
}

// 1,600 rows of 8 numbers: the first 1,200 to train on, the others to ask about, two of each person.
struct Asked {
  ProbeData train;
  Tensor test;
  std::vector<int64_t> truth, people;

  explicit Asked(const std::function<bool(const float* row, int64_t number)>& is) {
    constexpr int64_t kRows = 1600, kTrain = 1200, kInputs = 8;
    const Tensor x = affine(randn({kRows, kInputs}, 5, DType::f32), 3, 100);
    for (int64_t i = 0; i < kRows; ++i) {
      const int64_t cls = is(x.data<float>() + i * kInputs, i) ? 1 : 0;
      (i < kTrain ? train.cls : truth).push_back(cls);
      if (i >= kTrain) people.push_back(i / 2);
    }
    train.inputs = x.slice_batch(0, kTrain);
    test = x.slice_batch(kTrain, kRows);
  }
  Interval balanced(const std::string& kind, double level = 0.95) const {
    const std::vector<int64_t> said = ask_probe(kind, train, test, {}, {});
    std::vector<double> correct;
    for (size_t i = 0; i < said.size(); ++i) correct.push_back(said[i] == truth[i] ? 1 : 0);
    return bootstrap_class_mean(correct, truth, 2, people, 1, 2000, level);
  }
};

bool leans(const float* x, int64_t) { return x[0] + x[1] - x[2] > 100; }

}  // namespace

BOOST_AUTO_TEST_CASE(places_ties_and_classes) {
  const std::vector<double> impostors{0.1, 0.2, 0.2, 0.5}, genuine{0.2, 0.6, 0.0};
  BOOST_TEST((placements(genuine, impostors) == std::vector<double>{0.5, 1, 0}));
  std::vector<ScoredPair> pairs;
  for (double s : impostors) pairs.push_back({s, false, 0});
  for (double s : genuine) pairs.push_back({s, true, 0});
  double area = 0;  // under the ROC, by trapezoids
  const std::vector<RocPoint> points = roc(pairs);
  for (size_t i = 1; i < points.size(); ++i)
    area += (points[i].far - points[i - 1].far) * (points[i].tar + points[i - 1].tar) / 2;
  BOOST_TEST(std::abs(area - 0.5) < 1e-12);
  refused([&] { placements(genuine, {}); }, {"no impostors"});

  BOOST_TEST(
      (in_top(1, 0, 0) == 1 && in_top(1, 1, 0) == 0 && in_top(10, 9, 0) == 1 && in_top(10, 10, 3) == 0));
  BOOST_TEST((in_top(1, 0, 3) == 0.25 && in_top(2, 1, 3) == 0.25 && in_top(10, 0, 3) == 1));

  // Of class 0 three of four are right, of class 1 one of two.
  const std::vector<double> right{1, 1, 1, 0, 1, 0};
  const std::vector<int64_t> cls{0, 0, 0, 0, 1, 1}, people{1, 2, 3, 4, 5, 6}, one(6, 0);
  BOOST_TEST(bootstrap_class_mean(right, cls, 2, people, 1).mean == 0.625);
  const Interval plain = bootstrap_mean(right, people, 3),
                 same = bootstrap_class_mean(right, one, 1, people, 3);
  BOOST_TEST((plain.mean == same.mean && plain.low == same.low && plain.high == same.high));
  refused([&] { bootstrap_class_mean(right, one, 2, people, 1); }, {"class 1"});
  // Draws without the two people of the second class are no draws of the other class alone.
  std::vector<double> few(10, 1.0);
  std::vector<int64_t> rare(10, 0), ten;
  for (int64_t i = 0; i < 10; ++i) ten.push_back(i);
  for (const size_t i : {3, 7}) few[i] = 0.25, rare[i] = 1;
  const Interval narrow = bootstrap_class_mean(few, rare, 2, ten, 1);
  BOOST_TEST((narrow.mean == 0.625 && narrow.low == 0.625 && narrow.high == 0.625));
  refused([&] { bootstrap_class_mean(right, cls, 1, people, 1); }, {"class 1 of 1"});
}

BOOST_AUTO_TEST_CASE(planted_linkage_is_found_and_shuffled_is_chance) {
  const Crowd crowd(0.15);
  const LinkageTask task = crowd.task();
  BOOST_TEST((task.gallery.size() == 60u && task.probes.size() == 120u && task.distractors == 0));
  const LinkageRow found = crowd.score(task);
  BOOST_TEST(bootstrap_mean(found.rank_1, task.people, 1).low > 0.98);
  BOOST_TEST(bootstrap_mean(found.placement, task.people, 1).mean > 0.999);
  BOOST_TEST(bootstrap_mean(found.accepted, task.people, 1).mean > 0.98);
  BOOST_TEST((found.impostor_pairs == 120 * 59 && found.far <= kLinkageFar));
  // The same scores, whoever computes them.
  set_num_threads(1);
  const LinkageRow alone = crowd.score(task);
  set_num_threads(2);
  const LinkageRow both = crowd.score(task);
  set_num_threads(0);
  BOOST_TEST((alone.placement == both.placement && alone.threshold == both.threshold));

  LinkageTask shuffled = task;
  for (int64_t& own : shuffled.own) own = (own * 7 + 11) % 60;
  const LinkageRow lost = crowd.score(shuffled);
  BOOST_TEST(contains(bootstrap_mean(lost.placement, task.people, 1), 0.5));
  BOOST_TEST(contains(bootstrap_mean(lost.rank_10, task.people, 1), 10.0 / 60));
  BOOST_TEST(bootstrap_mean(lost.rank_1, task.people, 1).mean < 0.1);

  // Vectors that all are one tell nothing, and ties do not help.
  const Tensor one = crowd.rows.slice_batch(0, 1).view({Crowd::kDim});
  const LinkageRow flat = score_linkage(task, repeat(one, 60), repeat(one, 120));
  BOOST_TEST(std::abs(flat.rank_1[0] - 1.0 / 60) < 1e-12);
  BOOST_TEST(std::abs(flat.placement[0] - 0.5) < 1e-12);
  refused([&] { score_linkage(task, repeat(one, 59), repeat(one, 120)); }, {"[59,24]", "60"});
}

BOOST_AUTO_TEST_CASE(people_with_one_photograph_are_distractors) {
  const std::vector<int64_t> person{7, 8, 7, 7, 9, 8};  // of rows 0 to 5
  const LinkageTask task = linkage_task({4, 2, 3, 0, 1, 5}, person, "here");
  BOOST_TEST((task.gallery == std::vector<int64_t>{4, 2, 1}));
  BOOST_TEST((task.probes == std::vector<int64_t>{3, 0, 5} && task.own == std::vector<int64_t>{1, 1, 2}));
  BOOST_TEST((task.people == std::vector<int64_t>{7, 7, 8} && task.distractors == 1));
  refused([&] { linkage_task({4, 2, 3, 1}, person, "here"); }, {"here", "1 have two photographs"});
}

// Features that were moved to a space of another shape by a linear map: a network learns the way back from
// other people's pairs.
BOOST_AUTO_TEST_CASE(a_linkage_network_finds_the_way_back) {
  const Recogniser recogniser = toy_recogniser();
  const Tensor raw = toy_features(recogniser, "e", 512, 5);
  const Tensor moved = matmul(raw, randn({kToyDim, 20}, 9, DType::f32));
  ReaderData data{raw, moved, {}, {}};
  for (int64_t i = 0; i < 512; ++i) (i < 384 ? data.train : data.validation).push_back(i);
  ReaderInfo info{
      provenance(recogniser, FeatureDomain::real), {{20}, 64, 1, int(kToyDim)}, ReaderRole::linkage};
  Reader reader(info, 1);
  const TrainSettings settings{.epochs = 20, .batch = 32, .learning_rate = 3e-3, .seed = 3};
  ReaderTrainer trainer(reader, recogniser, data, settings);
  BOOST_TEST(!trainer.unaided().has_value());
  while (!trainer.done()) trainer.step();
  BOOST_TEST(trainer.history().back().validation_score > 0.99);
  const Tensor embedded = embed_rows(recogniser, FeatureRows(moved), "e", &reader);
  BOOST_TEST(relative_error(embedded, raw) < 0.2);

  const TempDir dir;
  const std::string path = dir / "l.safetensors";
  reader.save(path);
  for (const auto& loaded : {Reader::load(path, ReaderRole::linkage), Reader::load(path)}) {
    BOOST_TEST(same_bits(loaded->forward(moved), reader.forward(moved)));
    BOOST_TEST((loaded->info().spec == info.spec && loaded->info().people == info.people));
  }
  refused([&] { Reader::load(path, ReaderRole::adapter); }, {path, "advface-adapter-1"});
  write_bytes(dir / "text", "no network");
  refused([&] { Reader::load(dir / "text"); }, {"text"});
  toy_decoder(recogniser, "e")->save(dir / "decoder");
  refused([&] { Reader::load(dir / "decoder"); }, {"decoder", "linkage", "advface-decoder-1"});
  // Another length of embedding, and an adapter to it.
  info.spec.out = 13;
  Reader other(info, 1);
  refused([&] { ReaderTrainer(other, recogniser, data, settings); }, {"13", "12"});
  info.role = ReaderRole::adapter;
  refused([&] { Reader(info, 1); }, {"adapter", "13"});
}

// A map that was moved is read as well.
BOOST_AUTO_TEST_CASE(a_network_for_maps_emits_vectors) {
  FeatureNet net({{8, 7, 7}, 16, 1, 5}, 1);
  const Tensor x = randn({3, 8, 7, 7}, 4, DType::f32);
  const Tensor y = net.forward(x);
  BOOST_TEST(y.shape() == Shape({3, 5}));
  BOOST_TEST(same_bits(net.forward(x.slice_batch(1, 2)), y.slice_batch(1, 2)));
  const FeatureNetSpec spec{{8, 7, 7}, 16, 1, 5};
  BOOST_TEST((FeatureNetSpec::from_metadata(spec.to_metadata(), "f") == spec));
  const FeatureNetSpec older{{8, 7, 7}, 16, 1};
  BOOST_TEST(!older.to_metadata().contains("net.out"));
  refused([] { FeatureNet({{3}, 8, 1, -1}, 1); }, {"-1"});
}

BOOST_AUTO_TEST_CASE(planted_attributes_are_found_and_shuffled_are_chance) {
  const Asked planted(leans), rare([](const float*x, int64_t) { return x[0] > 104; });
  // Whether a number is far from its mean: no line tells that.
  const Asked far([](const float* x, int64_t) { return std::abs(x[0] - 100) > 2; });
  const Asked shuffled([](const float*, int64_t i) { return Philox{3, 4}.uniform(uint64_t(i)) < 0.3; });
  for (const ProbeKind& kind : probe_kinds()) {
    BOOST_TEST(planted.balanced(kind.name).mean > 0.9, kind.name);
    BOOST_TEST(rare.balanced(kind.name).mean > 0.7, kind.name);
    BOOST_TEST(contains(shuffled.balanced(kind.name, 0.999), 0.5), kind.name);
  }
  BOOST_TEST(far.balanced("logistic").mean < 0.65);
  BOOST_TEST(far.balanced("mlp").mean > 0.7);
  refused([&] { ask_probe("forest", planted.train, planted.test, {}, {}); }, {"forest", "logistic"});
  refused([&] { ask_probe("mlp", planted.train, planted.test.view({200, 16}), {}, {}); }, {"[200,16]"});
}

BOOST_AUTO_TEST_CASE(probes_say_the_same_on_any_number_of_threads) {
  const Asked asked(leans);
  for (const ProbeKind& kind : probe_kinds()) {
    set_num_threads(1);
    const auto alone = ask_probe(kind.name, asked.train, asked.test, {}, {});
    set_num_threads(2);
    BOOST_TEST((ask_probe(kind.name, asked.train, asked.test, {}, {}) == alone), kind.name);
    set_num_threads(0);
  }
}

BOOST_AUTO_TEST_CASE(of_a_map_probes_see_the_means_of_cells) {
  const Tensor vectors = randn({3, 5}, 1, DType::f32);
  BOOST_TEST(same_bits(probe_inputs(FeatureRows(vectors)), vectors));
  std::vector<float> map(2 * 8 * 4);
  std::iota(map.begin(), map.end(), 0.f);  // 8 rows of 4, two channels
  const Tensor seen = probe_inputs(FeatureRows(Tensor::from(map, {1, 2, 8, 4})));
  BOOST_TEST(seen.shape() == Shape({1, 32}));
  const std::vector<float> v = seen.to_vector<float>();
  BOOST_TEST((v[0] == 2 && v[1] == 3 && v[4] == 10 && v[15] == 29 && v[16] == 34));
  BOOST_TEST(probe_inputs(FeatureRows(randn({2, 3, 2, 5}, 1, DType::f32))).shape() == Shape({2, 48}));
}
