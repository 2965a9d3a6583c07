// Every attacker of the registry holds what attacker.h promises, and the checks find planted mistakes; every
// loss of a decoder; every judge.
#define BOOST_TEST_MODULE attackers
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <map>
#include <numeric>

#include "advface/attackers/registry.h"
#include "advface/audit/judge.h"
#include "advface/core/dataset.h"
#include "advface/networks/train_decoder.h"
#include "advface/protections/duet_protection.h"
#include "advface/protections/registry.h"
#include "attacker_checks.h"
#include "file_test_util.h"
#include "method_test_util.h"
#include "nn/loss.h"
#include "tensor/ops.h"
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
  // The second recogniser is the toy with another last layer.
  DecoderLossSpec spec(const std::string& name) const {
    std::map<std::string, std::string> given;
    if (name == "second") {
      static const TempDir folder;
      write_bytes(folder / "toy.onnx", toy_model(4));
      write_bytes(folder / "toy.json", kToyCard);
      given["loss_recogniser"] = folder / "toy.json";
    }
    DecoderLossSpec made({name}, given);
    made.open(recogniser);
    return made;
  }
  std::unique_ptr<DecoderLoss> loss(const std::string& name) const {
    return spec(name).make({&recogniser, "e", data.features});
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
  scene().train(*decoder, *scene().loss("l1"), 100);
  decoder->save(path);
  return path;
}

// How an attacker without a file is asked for, where it needs more than its name.
std::string text_of(const TempDir& dir, const std::string& kind) {
  if (kind != "oracle") return kind;
  return "oracle:queries=200,decoder=" + file_of(dir, "decoder");
}

AttackerInput input() {
  AttackerInput in;
  in.others = [] { return FeatureRows(scene().features.slice_batch(kTrain, kRows)); };
  in.threshold = [] { return 0.9; };
  in.recogniser = &scene().recogniser;
  in.cut = "e";
  in.image_size = int(kToySize);
  in.mean_face = [](int size) {
    BOOST_TEST(size == int(kToySize));
    return reshape(mean(scene().photographs, {0}), {3, size, size});
  };
  return in;
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
    BOOST_TEST(!kind.help.empty());
    if (kind.spec) {  // without a file
      const auto attacker = named_attacker(text_of(dir, kind.name), 1)->make(input());
      BOOST_TEST((attacker->kind() == kind.name && !attacker->settings().empty()));
      BOOST_TEST(attacker->provenance().people.empty() == (kind.name == "inversion"));
      const std::string broken = joined(broken_rules(*attacker, raw().slice_batch(0, 20),
                                                     seen().slice_batch(0, 20), "", scene().recogniser));
      BOOST_TEST(broken == "", kind.name << ": " << broken);
      continue;
    }
    const std::string path = file_of(dir, kind.name);
    const auto attacker = load_attacker(path);
    BOOST_TEST((attacker->kind() == kind.name && !kind.help.empty() && !attacker->name().empty()));
    BOOST_TEST(attacker->row() == Shape{kToyDim});
    const std::string broken = joined(broken_rules(*attacker, raw(), seen(), "anna", scene().recogniser));
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
  Tensor attack(const Tensor& z, const Context&) const override {
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
  BOOST_TEST(joined(broken_rules(Planted(""), raw(), seen(), "anna", scene().recogniser)) == "");
  for (const std::string mistake : {"shape", "range", "rows", "threads", "again", "chance", "people"}) {
    const auto found = broken_rules(Planted(mistake), raw(), seen(), "anna", scene().recogniser);
    BOOST_TEST(std::count(found.begin(), found.end(), mistake) == 1, mistake << ": " << joined(found));
  }
}

// More steps and further restarts find more of the feature; a map is inverted as a vector is.
BOOST_AUTO_TEST_CASE(inversion_finds_the_feature) {
  const Recogniser& r = scene().recogniser;
  const auto found = [&](const std::string& text, const std::string& cut, const Tensor& z) {
    AttackerInput in = input();
    in.cut = cut;
    const Tensor images = named_attacker(text, 1)->make(in)->attack(z, {});
    const Tensor f = r.features(r.preprocess(images), cut);
    const Shape flat{z.dim(0), z.numel() / z.dim(0)};
    const Tensor a = l2_normalise(reshape(f, flat)), b = l2_normalise(reshape(z, flat));
    return reduce_sum(mul(a, b), {1}, false).to_vector<float>();
  };
  const auto total = [](const std::vector<float>& v) { return std::accumulate(v.begin(), v.end(), 0.0); };
  const Tensor z = raw().slice_batch(0, 5);
  const auto few = found("inversion:steps=3", "e", z), many = found("inversion:steps=80", "e", z),
             again = found("inversion:steps=80,restarts=3", "e", z);
  BOOST_TEST(total(few) < total(many));
  for (size_t i = 0; i < 5; ++i) BOOST_TEST(again[i] >= many[i] - 1e-5f);
  BOOST_TEST(total(again) / 5 > 0.97, total(again) / 5);
  const Tensor maps = toy_features(r, "p", 3, 5);
  BOOST_TEST(total(found("inversion:steps=80", "p", maps)) > total(found("inversion:steps=2", "p", maps)));
  // Another seed takes another way; the same takes the same.
  const auto images = [&](uint64_t seed) {
    return named_attacker("inversion:steps=5", seed)->make(input())->attack(z, {});
  };
  BOOST_TEST(same_bits(images(1), images(1)));
  BOOST_TEST(!same_bits(images(1), images(2)));

  BOOST_TEST(!named_attacker("file.safetensors", 1));
  refused([] { named_attacker("inversion:grid=0", 1); }, {"grid", "decoder"});
  refused([] { named_attacker("inversion:steps=2,steps=3", 1); }, {"steps twice"});
  refused([] { named_attacker("invertion:steps=2", 1); }, {"did you mean inversion?"});
  refused([] { named_attacker("inversion:step=3", 1); }, {"step", "did you mean steps?", "restarts"});
  refused([] { named_attacker("inversion:steps", 1); }, {"steps", "SETTING=VALUE"});
  for (const char* bad :
       {"steps=0", "restarts=0", "size=8", "grid=2", "rate=0", "rate=nan", "smoothness=-1", "steps=1.5"})
    refused([&] { named_attacker(std::string("inversion:") + bad, 1); }, {std::string(bad).substr(0, 4)});
  BOOST_TEST((split_attacker("a=b.st").name == "a" && split_attacker("b.st").what == "b.st"));
  BOOST_TEST((split_attacker("inversion:steps=3").name == "" &&
              split_attacker("x=inversion:steps=3").what == "inversion:steps=3"));
}

namespace {

// Mean cosine of what the recogniser finds in the images to the features.
double mean_likeness(const Tensor& images, const Tensor& z) {
  const Recogniser& r = scene().recogniser;
  return mean_all(reduce_sum(mul(r.features(r.preprocess(images), "e"), z), {1}, false)).item();
}

}  // namespace

// With a decoder it begins at what that makes of the feature, and varies its input where it is told to.
BOOST_AUTO_TEST_CASE(inversion_of_what_a_decoder_makes) {
  const TempDir dir;
  const std::string file = dir / "young", with = ",decoder=" + file;
  const auto young = scene().fresh("l1");
  scene().train(*young, *scene().loss("l1"), 6);
  young->save(file);
  const Tensor z = raw().slice_batch(0, 6);
  const auto made = [&](const std::string& text) {
    return named_attacker(text, 1)->make(input())->attack(z, {});
  };
  const Tensor decoded = load_attacker(file)->attack(z, {});
  BOOST_TEST(l1_loss(made("inversion:steps=1,rate=1e-9" + with), decoded).item() < 0.01);
  BOOST_TEST(mean_likeness(made("inversion:steps=60" + with), z) > mean_likeness(decoded, z) + 0.02);
  // The decoder's input alone; and it, varied, finds more than where it all but stays.
  const double stays = mean_likeness(made("inversion:steps=60,grid=0,latent_rate=1e-9" + with), z),
               goes = mean_likeness(made("inversion:steps=100,grid=0,latent_rate=0.3" + with), z);
  BOOST_TEST(stays > mean_likeness(decoded, z) - 1e-5);  // more only where the mean feature suits better
  BOOST_TEST(goes > stays + 0.003, stays << " and " << goes);

  refused([&] { made("inversion:size=64" + with); }, {file, "64", std::to_string(kToySize)});
  refused([&] { made("inversion:decoder=" + (dir / "none")); }, {"none"});
  AttackerInput elsewhere = input();
  elsewhere.cut = "p";
  refused([&] { named_attacker("inversion:steps=1" + with, 1)->make(elsewhere); }, {file, " e", " p"});
}

// What is stored went through a protection that the recogniser does not know: the attacker looks through it.
BOOST_AUTO_TEST_CASE(inversion_looks_through_a_protection) {
  const Recogniser& r = scene().recogniser;
  std::shared_ptr<ProtectionSpec> spec = protection_kind("shuffle", "").spec();
  set_seed(spec->settings(), 3);
  ProtectionChain chain({spec}, input_of(r, "e", "toy"));
  const Tensor z = raw().slice_batch(0, 5);
  const std::vector<int64_t> records{0, 1, 2, 3, 4};
  const Tensor stored = chain.apply(z, records, {}, {}).features;
  AttackerInput in = input();
  const auto blind = named_attacker("inversion:steps=40", 1)->make(in);
  in.through = &chain;
  const auto knows = named_attacker("inversion:steps=40", 1)->make(in);
  BOOST_TEST(knows->provenance().protection.is_like(chain.id()));
  BOOST_TEST(mean_likeness(knows->attack(stored, {}), z) > 0.9);
  BOOST_TEST(mean_likeness(blind->attack(stored, {}), z) < mean_likeness(knows->attack(stored, {}), z) - 0.1);
}

// Also where features stay in the recogniser's space, and those are maps.
BOOST_AUTO_TEST_CASE(inversion_looks_through_what_changes_maps) {
  const TempDir dir;
  const Recogniser& r = scene().recogniser;
  FitData data;
  data.features = toy_features(r, "p", 20, 8);
  for (int64_t i = 0; i < 20; ++i) data.train.push_back(i);
  data.provenance = toy_decoder(r, "p")->info();
  DuetFit().fit(data, dir / "duet", {});
  const auto chain_of = [&](const std::string& name, const std::map<std::string, std::string>& given) {
    std::shared_ptr<ProtectionSpec> spec = protection_kind(name, "").spec();
    for (const Setting& s : spec->settings())
      if (const auto text = given.find(s.name); text != given.end()) s.read(text->second);
    return ProtectionChain({spec}, input_of(r, "p", "toy"));
  };
  std::vector<ProtectionChain> chains;
  chains.push_back(chain_of("frequency", {}));
  for (const char* fill : {"zero", "mean"})
    chains.push_back(chain_of("duet", {{"duet", dir / "duet"}, {"duet_fill", fill}}));
  const std::vector<int64_t> records{0, 1, 2};
  for (ProtectionChain& chain : chains) {
    const Tensor stored = chain.apply(toy_features(r, "p", 3, 5), records, {}, {}).features;
    AttackerInput in = input();
    in.cut = "p";
    in.through = &chain;
    const auto found = [&](const std::string& text) {
      const Tensor images = named_attacker(text, 1)->make(in)->attack(stored, {});
      const Shape flat{3, stored.numel() / 3};
      const Tensor a = l2_normalise(reshape(in.probes_of(images), flat)),
                   b = l2_normalise(reshape(stored, flat));
      return mean_all(reduce_sum(mul(a, b), {1}, false)).item();
    };
    const double few = found("inversion:steps=1"), many = found("inversion:steps=60");
    BOOST_TEST(many > few + 0.01, chain.id().describe() << ": " << few << " and " << many);
  }
}

// More queries find more; with bits alone whoever is accepted stays so.
BOOST_AUTO_TEST_CASE(oracle_climbs_what_it_is_told) {
  const TempDir dir;
  const std::string file = file_of(dir, "decoder");
  const Tensor z = raw().slice_batch(0, 6);
  const auto found = [&](const std::string& settings, double threshold, const Tensor& features) {
    AttackerInput in = input();
    in.threshold = [=] { return threshold; };
    const auto oracle = named_attacker("oracle:decoder=" + file + settings, 1)->make(in);
    return mean_likeness(oracle->attack(features, {}), z);
  };
  const double few = found(",queries=10", 0, z), more = found(",queries=100", 0, z),
               many = found(",queries=500", 0, z);
  BOOST_TEST(few < more);
  BOOST_TEST(more < many);
  // From the first of the public people who is accepted on, all that is shown at the end is.
  const double bits = found(",queries=300,answers=accepts", 0.9, z);
  BOOST_TEST(bits > 0.9, bits);
  // Nobody is accepted: what is shown is one of those that were asked about, the first; and the people that
  // there are end before the queries.
  AttackerInput strict = input();
  strict.threshold = [] { return 2.0; };
  const auto decoder = Decoder::load(file);
  const auto refused_all =
      named_attacker("oracle:answers=accepts,queries=50,decoder=" + file, 1)->make(strict);
  BOOST_TEST(refused_all->queries().empty());
  const Tensor shown = refused_all->attack(z, {});
  const Tensor first = decoder->reconstruct(strict.others().batch(0, 1));
  BOOST_TEST(l1_loss(shown, repeat(reshape(first, {3, kToySize, kToySize}), 6)).item() < 1e-5);
  BOOST_TEST((refused_all->queries() == std::vector<int64_t>(6, kRows - kTrain)));
  // One query shows what it has shown, and where there are no people it is about the mean.
  BOOST_TEST(found(",queries=1", 0, z) == mean_likeness(shown, z));
  strict.others = [] { return FeatureRows(); };
  const auto alone = named_attacker("oracle:answers=accepts,decoder=" + file, 1)->make(strict);
  alone->attack(z, {});
  BOOST_TEST((alone->queries() == std::vector<int64_t>(6, 1)));
  refused([&] { found(",answers=maybe", 0, z); }, {"answers", "maybe", "scores"});
  refused([&] { named_attacker("oracle:queries=0,decoder=" + file, 1); }, {"queries"});
  refused([] { named_attacker("oracle", 1); }, {"oracle:decoder=FILE"});
}

namespace {

// Whether runs that stop and go on from their checkpoint end at the weights of one that does not stop. make:
// a fresh network of this seed with its trainer.
template <class MakeTrainer>
bool resumes(const std::string& checkpoint, const MakeTrainer& make) {
  const auto whole = make(1);
  while (!whole.trainer->done()) whole.trainer->step();
  for (int stop : {3, 7}) {  // inside an epoch, behind one
    const auto first = make(1), second = make(9);
    for (int i = 0; i < stop; ++i) first.trainer->step();
    first.trainer->save_checkpoint(checkpoint);
    second.trainer->load_checkpoint(checkpoint);
    while (!second.trainer->done()) second.trainer->step();
    if (weights_hash(*whole.decoder) != weights_hash(*second.decoder)) return false;
  }
  return true;
}

// Weighs its loss by how often it was asked, and no checkpoint knows that.
struct Forgetful : DecoderLoss {
  mutable int asked = 0;
  Tensor loss(const Tensor& images, const Tensor& faces, const std::vector<int64_t>&) const override {
    return affine(mean_all(abs(sub(images, faces))), 1 + 0.1 * ++asked, 0);
  }
};

struct Training {
  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<DecoderLoss> loss;
  std::unique_ptr<DecoderTrainer> trainer;
};

Training training(const std::string& summary, uint64_t seed, std::unique_ptr<DecoderLoss> loss) {
  Training t{scene().fresh(summary, seed), std::move(loss), nullptr};
  const TrainSettings settings{.epochs = 8, .batch = 16, .learning_rate = 3e-3};
  t.trainer = std::make_unique<DecoderTrainer>(*t.decoder, scene().data, settings, t.loss.get());
  return t;
}

}  // namespace

// Each loss goes down, resumes to the very weights, stands in the file; and does what it is there for.
BOOST_AUTO_TEST_CASE(every_decoder_loss_trains_and_resumes) {
  const TempDir dir;
  std::map<std::string, double> cosines;
  for (const DecoderTermKind& kind : decoder_terms()) {
    const DecoderLossSpec made = scene().spec(kind.name);
    const DecoderLossSpec* spec = &made;
    BOOST_TEST(!kind.help.empty());
    const auto loss = scene().loss(kind.name);
    const TrainSettings settings{.epochs = 8, .batch = 16, .learning_rate = 3e-3};
    const auto decoder = scene().fresh(spec->summary());
    DecoderTrainer trainer(*decoder, scene().data, settings, loss.get());
    while (!trainer.done()) trainer.step();
    const auto& history = trainer.history();
    BOOST_TEST(history.back().train_loss < history.front().train_loss, kind.name);
    BOOST_TEST(
        resumes(dir / "c",
                [&](uint64_t seed) { return training(spec->summary(), seed, scene().loss(kind.name)); }),
        kind.name);
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
  // The check finds a loss that does not resume.
  BOOST_TEST(!resumes(dir / "c",
                      [&](uint64_t seed) { return training("l1", seed, std::make_unique<Forgetful>()); }));
  BOOST_TEST(cosines["second"] > cosines["l1"] + 0.02, cosines["l1"] << " and " << cosines["second"]);
  refused([] { decoder_term_kind("identty"); }, {"identty", "did you mean identity?", "l1"});
  refused([] { DecoderLossSpec({"identity"}, {}).make({}); }, {"identity", "--features"});
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
  // What an image is like to anybody: of two people the mean of the four photographs of the others.
  const Tensor all = matmul(embeddings, embeddings, {}, {.transpose_b = true});
  const Measure* others = find_measure(measures, "cosine_of_others/deployed");
  BOOST_REQUIRE(others);
  for (int64_t i = 0; i < n; ++i) {
    double sum = 0;
    for (int64_t j = 0; j < n; ++j) sum += j / 2 == i / 2 ? 0.0 : double(all.data<float>()[i * n + j]);
    BOOST_TEST(std::abs(others->values[size_t(i)] - sum / double(n - 2)) < 1e-5);
  }
  BOOST_TEST((find_measure(measures, "replay_rate/deployed/other_photo")->of == std::vector<int64_t>{0, 1}));
  BOOST_TEST(!find_measure(measures, "beauty"));
  refused([&] { judge_all(Tensor::zeros({n, 3, 8, 8}), test); }, {"[6,3,8,8]"});
  // Of some images, in another order.
  const auto some = judge_all(FeatureRows(test.faces).at({5, 1}), test.only({5, 1}));
  BOOST_TEST(find_measure(some, "ssim")->values.size() == 2u);
  BOOST_TEST((find_measure(some, "replay_rate/deployed/other_photo")->of == std::vector<int64_t>{1}));
  for (const JudgeKind& kind : judges()) BOOST_TEST((!kind.name.empty() && !kind.help.empty()));
}
