#include "advface/audit/attribute_audit.h"

#include <algorithm>
#include <cmath>

#include "advface/audit/judge.h"
#include "advface/core/setting.h"
#include "advface/networks/trainer.h"
#include "autograd/tape.h"
#include "nn/layers.h"
#include "tensor/ops.h"

namespace advf {
namespace {

constexpr int64_t kBatch = 64, kCells = 4;
constexpr int64_t kLeastSteps = 1000;         // of a training, so that few rows are learned as well
constexpr double kRate = 2e-3, kDecay = 0.1;  // peak learning rate; AdamW's decay
constexpr double kLeastDeviation = 1e-6;      // of an input that never changes
constexpr double kLargestInput = 10;          // in deviations, for an input that changes after all

// Logits of the two classes.
std::unique_ptr<Module> make_probe(const std::string& kind, int64_t inputs, int width, uint64_t seed) {
  auto probe = std::make_unique<Sequential>();
  if (kind == "logistic") {
    probe->add<Linear>(inputs, 2);
  } else {
    check(kind == "mlp", "no probe is called ", kind, known_names_of(kind, probe_kinds()));
    probe->add<Linear>(inputs, width);
    probe->add<ReLU>();
    probe->add<Linear>(width, 2);
  }
  probe->initialise(seed);
  return probe;
}

// (x - mean) / deviation of the training rows, cut.
class Scaling {
 public:
  explicit Scaling(const Tensor& train) {
    const int64_t n = train.dim(0), k = train.dim(1);
    mean_.assign(size_t(k), 0);
    deviation_.assign(size_t(k), 0);
    const float* x = train.data<float>();
    for (int64_t i = 0; i < n * k; ++i) mean_[size_t(i % k)] += double(x[i]) / double(n);
    for (int64_t i = 0; i < n * k; ++i) {
      const double off = double(x[i]) - mean_[size_t(i % k)];
      deviation_[size_t(i % k)] += off * off / double(n);
    }
    for (double& v : deviation_) v = std::max(std::sqrt(v), kLeastDeviation);
  }
  Tensor apply(const Tensor& rows) const {
    std::vector<float> out = rows.to_vector<float>();
    for (size_t i = 0; i < out.size(); ++i) {
      const size_t k = i % mean_.size();
      out[i] = float(std::clamp((double(out[i]) - mean_[k]) / deviation_[k], -kLargestInput, kLargestInput));
    }
    return Tensor::from(out, rows.shape());
  }

 private:
  std::vector<double> mean_, deviation_;
};

// Cross-entropy in which both classes weigh alike. Nothing is chosen by a validation: the schedule is fixed.
class ProbeTrainer : public Trainer {
 public:
  ProbeTrainer(Module& probe, const FeatureRows& inputs, const std::vector<int64_t>& cls,
               const std::vector<int64_t>& rows, const TrainSettings& settings)
      : Trainer({{"probe", &probe}}, rows, settings, {.weight_decay = kDecay, .decoupled = true}, ""),
        probe_(probe),
        inputs_(inputs),
        cls_(cls) {
    for (int64_t c : cls_) ++count_[size_t(c)];
  }

 private:
  Tensor loss(const std::vector<int64_t>& rows) override {
    Tensor sum;
    for (int c : {0, 1}) {
      std::vector<int64_t> mine;
      for (int64_t r : rows)
        if (cls_[size_t(r)] == c) mine.push_back(r);
      if (mine.empty()) continue;
      const std::vector<int32_t> labels(mine.size(), c);
      const Tensor targets = Tensor::from(labels, {int64_t(labels.size())}).to(current_backend());
      const double weight =
          double(mine.size()) / double(rows.size()) * double(cls_.size()) / (2 * double(count_[size_t(c)]));
      const Tensor term =
          affine(softmax_cross_entropy(probe_.forward(inputs_.batch(mine)), targets), weight, 0);
      sum = sum.defined() ? add(sum, term) : term;
    }
    return sum;
  }
  std::pair<double, double> validate() override { return {0, 0}; }

  Module& probe_;
  const FeatureRows& inputs_;
  const std::vector<int64_t>& cls_;
  int64_t count_[2] = {0, 0};
};

}  // namespace

const std::vector<ProbeKind>& probe_kinds() {
  static const std::vector<ProbeKind> rows{
      {"logistic", "logistic regression"},
      {"mlp", "a network with one hidden layer"},
  };
  return rows;
}

std::vector<int64_t> ask_probe(const std::string& kind, const ProbeData& train, const Tensor& asked,
                               const AttributeSettings& o, const Context& context) {
  const Tensor known = train.inputs.on_host();
  check(known.shape().rank() == 2 && known.dim(0) == int64_t(train.cls.size()) && asked.shape().rank() == 2 &&
            asked.dim(1) == known.dim(1),
        "a probe trained on ", known.shape(), " with ", train.cls.size(), " classes, asked about ",
        asked.shape());
  const Scaling scaling(known);
  const FeatureRows inputs(scaling.apply(known)), questions(scaling.apply(asked.on_host()));
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < inputs.count(); ++i) rows.push_back(i);
  const std::unique_ptr<Module> probe = make_probe(kind, known.dim(1), o.width, o.seed);
  const int64_t batch = std::min(kBatch, inputs.count()),
                steps = std::max<int64_t>(1, inputs.count() / batch);
  const TrainSettings settings{.epochs = std::max(o.epochs, int((kLeastSteps + steps - 1) / steps)),
                               .batch = batch,
                               .learning_rate = kRate,
                               .seed = o.seed};
  ProbeTrainer trainer(*probe, inputs, train.cls, rows, settings);
  while (!trainer.done()) {
    context.check_stop();
    trainer.step();
  }
  probe->train(false);
  const NoTapeScope off;
  const std::vector<float> logits = collect_rows(questions.count(), kBatch, [&](int64_t begin, int64_t end) {
                                      return probe->forward(questions.batch(begin, end));
                                    }).to_vector<float>();
  std::vector<int64_t> said;
  for (int64_t i = 0; i < questions.count(); ++i)
    said.push_back(logits[size_t(2 * i + 1)] > logits[size_t(2 * i)] ? 1 : 0);
  return said;
}

Tensor probe_inputs(const FeatureRows& features) {
  const Shape& row = features.row();
  if (row.rank() == 1) return features.range(0, features.count());
  const int64_t channels = row[0], height = row[1], width = row[2];
  std::vector<float> out;
  for (int64_t r = 0; r < features.count(); ++r) {
    const Tensor one = features.range(r, r + 1);
    const float* map = one.data<float>();
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t cell = 0; cell < kCells * kCells; ++cell) {
        // Of a map with fewer than four places a side neighbouring cells are the same place.
        const auto part = [](int64_t at, int64_t size) {
          const int64_t begin = at * size / kCells;
          return std::pair(begin, std::max(begin + 1, (at + 1) * size / kCells));
        };
        const auto rows = part(cell / kCells, height), columns = part(cell % kCells, width);
        double sum = 0;
        for (int64_t y = rows.first; y < rows.second; ++y)
          for (int64_t x = columns.first; x < columns.second; ++x)
            sum += double(map[(c * height + y) * width + x]);
        out.push_back(float(sum / double((rows.second - rows.first) * (columns.second - columns.first))));
      }
  }
  return Tensor::from(out, {features.count(), channels * kCells * kCells}).on_host();
}

namespace {

// Who is trained on and who is asked about, with what is true of all rows.
struct Chosen {
  TestRows test;
  std::vector<int64_t> train;
  Labels labels;

  std::vector<int64_t> classes(const std::vector<int64_t>& rows, const std::string& attribute) const {
    return attribute_classes(labels, rows, attribute);
  }
};

Chosen choose(const AttributeSettings& o, const std::vector<std::string>& files,
              const std::vector<ProtectionChain>& chains) {
  Chosen chosen;
  chosen.labels = o.faces.labels_of(files);
  check_attributes(chosen.labels, o.attributes);
  chosen.test = rows_under_test(o.faces, o.part, 0, files, o.split_seed);
  chosen.train = split_by_identity(chosen.labels, o.split_seed).train;
  for (const ProtectionChain& chain : chains) {
    chain.check_never_saw(chosen.test.identities);
    if (o.unseen)
      std::erase_if(chosen.train,
                    [&](int64_t r) { return chain.saw(person_key(chosen.labels.identities[size_t(r)])); });
  }
  check_both_classes(chosen.labels, chosen.train, o.attributes,
                     o.unseen ? "trained on (whom no network of the protection has seen)" : "trained on");
  check_both_classes(chosen.labels, chosen.test.rows, o.attributes, "under test (" + o.part + ")");
  return chosen;
}

}  // namespace

struct AttributeAudit::State {
  State(const AttributeSettings& settings, const Context& context);
  void prepare();

  AttributeSettings o;
  const Context& context;
  Recogniser recogniser;
  std::string cut;
  std::vector<ProtectionChain> chains;  // one, or none
  FaceSource faces;
  std::vector<ProtectedSet> given;

  // After prepare().
  Chosen chosen;
  std::vector<int64_t> people;
  std::vector<TestPhotograph> photographs;
  // What probes see of the training rows and of those under test.
  struct Inputs {
    std::string name;
    bool moved = false;  // to a space of their own
    Tensor train, test;
  };
  std::vector<Inputs> sets;  // raw, and protected
  std::vector<LeftOut> left_out;
  std::vector<std::pair<std::string, ProtectionId>> protections;

  void add(const NamedFeatures& used);
};

AttributeAudit::State::State(const AttributeSettings& settings, const Context& with)
    : o(settings),
      context(with),
      recogniser(Recogniser::load(o.faces.recogniser)),
      cut(o.faces.cut_of(recogniser)),
      faces(o.faces.open_images(context)) {
  if (!o.protection.empty()) chains.emplace_back(o.protection, input_of(recogniser, cut, o.faces.recogniser));
  given = open_protected_sets(o.protected_files, o.faces, faces, recogniser, cut);
  choose(o, faces.names(), chains);  // told before the work; broken images then drop out
  for (const ProtectedSet& g : given)
    if (!g.protection.known()) context.tell(g.protection.unknown);
}

// used: the training rows, then those under test. Who has no key takes what needs one for what lies under it.
void AttributeAudit::State::add(const NamedFeatures& used) {
  const Tensor all = probe_inputs(used.rows);
  const int64_t train = int64_t(chosen.train.size());
  sets.push_back({used.name, features_moved(used.protection.without_key()), all.slice_batch(0, train),
                  all.slice_batch(train, used.rows.count())});
  if (sets.back().moved)
    left_out.push_back({"probes trained on raw features", used.name,
                        "a protection has moved these features to a space of their own"});
}

void AttributeAudit::State::prepare() {
  const FeatureSet set = extract(o.faces, recogniser, cut, faces, context);
  std::vector<std::string> files;
  for (int64_t i : set.indices) files.push_back(faces.name(i));
  chosen = choose(o, files, chains);
  people = picked(chosen.test.person, chosen.test.rows);
  photographs = test_photographs(o.faces, files, chosen.test.rows);
  std::vector<int64_t> used = chosen.train;
  used.insert(used.end(), chosen.test.rows.begin(), chosen.test.rows.end());
  const FeatureRows raw = set.features.selected(used);
  std::vector<NamedFeatures> all;
  add_set(all, {"raw", raw, 1, "raw", 0.0, {}});
  for (NamedFeatures& g :
       guarded_sets(chains, given, {set, used, raw, o.leaked_key}, o.faces, recogniser, faces, context))
    add_set(all, std::move(g));
  for (const NamedFeatures& features : all) add(features);
  protections = protections_of(all);
}

AttributeAudit::AttributeAudit(const AttributeSettings& settings, const Context& context)
    : state_(std::make_unique<State>(settings, context)) {}
AttributeAudit::~AttributeAudit() = default;

void AttributeAudit::prepare() { state_->prepare(); }
const std::vector<int64_t>& AttributeAudit::people() const { return state_->people; }
const std::vector<TestPhotograph>& AttributeAudit::photographs() const { return state_->photographs; }
std::vector<int64_t> AttributeAudit::truth(const std::string& attribute) const {
  return state_->chosen.classes(state_->chosen.test.rows, attribute);
}
int64_t AttributeAudit::train_images() const { return int64_t(state_->chosen.train.size()); }
const std::string& AttributeAudit::cut() const { return state_->cut; }
const std::vector<LeftOut>& AttributeAudit::left_out() const { return state_->left_out; }

const std::vector<std::pair<std::string, ProtectionId>>& AttributeAudit::protections() const {
  return state_->protections;
}

void AttributeAudit::run(const std::function<void(const AttributeRow&)>& take) {
  const State& s = *state_;
  using Pair = std::pair<const State::Inputs*, const State::Inputs*>;
  std::vector<Pair> pairs{{&s.sets[0], &s.sets[0]}};  // trained on, asked about
  for (size_t i = 1; i < s.sets.size(); ++i) {
    if (!s.sets[i].moved) pairs.push_back({&s.sets[0], &s.sets[i]});
    pairs.push_back({&s.sets[i], &s.sets[i]});
  }
  const auto progress = s.context.begin(
      "probes", int64_t(s.o.attributes.size() * probe_kinds().size() * pairs.size()), "probes");
  for (const std::string& attribute : s.o.attributes) {
    const std::vector<int64_t> known = s.chosen.classes(s.chosen.train, attribute),
                               truth = s.chosen.classes(s.chosen.test.rows, attribute);
    for (const ProbeKind& probe : probe_kinds())
      for (const Pair& pair : pairs) {
        AttributeRow row{attribute, probe.name, pair.first->name, pair.second->name, {}};
        const std::vector<int64_t> said =
            ask_probe(probe.name, {pair.first->train, known}, pair.second->test, s.o, s.context);
        for (size_t i = 0; i < said.size(); ++i) row.correct.push_back(said[i] == truth[i] ? 1 : 0);
        take(row);
        progress->advance(1);
      }
  }
  progress->finish();
}

}  // namespace advf
