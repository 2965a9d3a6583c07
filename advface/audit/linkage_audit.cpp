#include "advface/audit/linkage_audit.h"

#include <map>
#include <set>

#include "advface/attackers/registry.h"
#include "advface/audit/judge.h"
#include "advface/audit/linear_reader.h"
#include "advface/audit/metrics.h"
#include "advface/networks/reader.h"
#include "advface/networks/trainer.h"
#include "advface/protections/registry.h"
#include "tensor/parallel.h"

namespace advf {
namespace {

constexpr const char* kNobody = "none";  // an attacker with the recogniser alone
constexpr uint64_t kKnownStream = 0;     // of the order in which photographs are known

struct NamedReader {
  std::string name, file;
  std::unique_ptr<Reader> reader;
  Meeting meeting() const { return {name, file, &reader->provenance(), reader->feature()}; }
};

std::vector<NamedReader> load_readers(const LinkageSettings& o, const Recogniser& recogniser,
                                      const std::string& cut) {
  const FeatureSpace raw{recogniser.feature_shape(cut), recogniser.domain(cut)};
  std::vector<NamedReader> list;
  std::vector<Meeting> met;
  for (const std::string& text : o.attackers) {
    const auto [name, file] = split_attacker(text);
    list.push_back({name.empty() ? file : name, file, Reader::load(file)});
    const NamedReader& a = list.back();
    const Provenance& from = a.reader->provenance();
    check_takes(from, a.reader->feature(), "the network " + file, space_after(from.protection, raw).row,
                recogniser.fingerprint(), cut, o.faces.recogniser);
    check(!a.reader->emits_embeddings() || a.reader->info().spec.out == recogniser.card().embedding.dimension,
          file, ": emits ", a.reader->info().spec.out, " numbers, but embeddings of ", o.faces.recogniser,
          " have ", recogniser.card().embedding.dimension);
    check(a.name != kNobody && a.name != kKnownPairs, "an attacker is called ", a.name,
          ", which stands for who has no network");
    add_meeting(met, a.meeting());
  }
  return list;
}

std::span<const float> row(const Tensor& rows, int64_t i) {
  const size_t d = size_t(rows.dim(1));
  return {rows.data<float>() + size_t(i) * d, d};
}

}  // namespace

LinkageTask linkage_task(const std::vector<int64_t>& rows, const std::vector<int64_t>& person,
                         const std::string& what) {
  LinkageTask task;
  std::map<int64_t, int64_t> place;  // of a person in the gallery
  for (int64_t r : rows) {
    const int64_t who = person[size_t(r)];
    const auto [at, fresh] = place.try_emplace(who, int64_t(task.gallery.size()));
    if (fresh) {
      task.gallery.push_back(r);
      continue;
    }
    task.probes.push_back(r);
    task.own.push_back(at->second);
    task.people.push_back(who);
  }
  const int64_t people = int64_t(std::set(task.people.begin(), task.people.end()).size());
  check(people >= 2, what, ": of the people under test ", people,
        " have two photographs or more, but linkage needs two such people");
  task.distractors = int64_t(task.gallery.size()) - people;
  return task;
}

LinkageRow score_linkage(const LinkageTask& task, const Tensor& gallery, const Tensor& probes) {
  const int64_t n = int64_t(task.probes.size()), size = int64_t(task.gallery.size());
  check(gallery.shape().rank() == 2 && gallery.dim(0) == size && probes.shape() == Shape({n, gallery.dim(1)}),
        "linkage of probes ", probes.shape(), " to a gallery ", gallery.shape(), " of ", size);
  LinkageRow result;
  result.impostor_pairs = n * (size - 1);
  std::vector<double> genuine(size_t(n), 0), impostors(size_t(result.impostor_pairs));
  result.rank_1.resize(size_t(n));
  result.rank_10.resize(size_t(n));
  parallel_for(n, [&](int64_t i) {
    const int64_t own = task.own[size_t(i)];
    const double mine = genuine[size_t(i)] = dot(row(probes, i), row(gallery, own));
    int64_t above = 0, ties = 0;
    double* others = impostors.data() + i * (size - 1);
    for (int64_t g = 0; g < size; ++g) {
      if (g == own) continue;
      const double score = *others++ = dot(row(probes, i), row(gallery, g));
      above += score > mine;
      ties += score == mine;
    }
    result.rank_1[size_t(i)] = in_top(1, above, ties);
    result.rank_10[size_t(i)] = in_top(10, above, ties);
  });
  result.placement = placements(genuine, impostors);
  result.threshold = threshold_at_fmr(impostors, kLinkageFar);
  for (double score : genuine) result.accepted.push_back(score >= result.threshold ? 1 : 0);
  result.far = replay_rate(impostors, result.threshold);
  return result;
}

struct LinkageAudit::State {
  State(const LinkageSettings& settings, const Context& context);
  void prepare();

  LinkageSettings o;
  const Context& context;
  Recogniser recogniser;
  std::string cut;
  std::vector<NamedReader> readers;
  std::vector<ProtectionChain> chains;
  FaceSource faces;
  std::vector<ProtectedSet> given;

  // After prepare().
  FeatureSet set;
  LinkageTask task;
  std::vector<TestPhotograph> photographs;  // of the probes
  Tensor gallery, probes;                   // embeddings of raw features
  std::vector<NamedFeatures> sets;          // of the probes
  std::vector<LeftOut> left_out;
  std::vector<LockKnowledge> locks;
  // What is known: embeddings, and the rows of each set of vectors, by its name.
  Tensor known;
  std::map<std::string, FeatureRows> known_stored;

  struct Choice {
    LinkageTask task;
    std::vector<int64_t> known;  // rows, the first of which are known of any number of pairs
  };
  std::vector<Meeting> meetings() const;
  Choice choose(const std::vector<std::string>& files) const;
  void learn_pairs(const std::vector<int64_t>& rows);
  int64_t most_pairs() const {
    return o.known_pairs.empty() ? 0 : *std::max_element(o.known_pairs.begin(), o.known_pairs.end());
  }
};

LinkageAudit::State::State(const LinkageSettings& settings, const Context& with)
    : o(settings),
      context(with),
      recogniser(Recogniser::load(o.faces.recogniser)),
      cut(o.faces.cut_of(recogniser)),
      readers(load_readers(o, recogniser, cut)),
      faces(o.faces.open_images(context)) {
  for (const ProtectionSpecs& specs : o.protections)
    chains.emplace_back(specs, input_of(recogniser, cut, o.faces.recogniser));
  given = open_protected_sets(o.protected_files, o.faces, faces, recogniser, cut);
  choose(faces.names());  // told before the work; broken images then drop out
  std::vector<NamedProvenance> networks = networks_of(chains);
  for (const NamedReader& a : readers) networks.push_back({a.file, &a.reader->provenance()});
  tell_of_other_names(networks, o.faces.names_known(faces.names()), context);
  std::vector<NamedFeatures> foreseen = foreseen_guarded(chains, given, o.leaked_key);
  foreseen.push_back(foreseen_raw(recogniser.feature_shape(cut)));
  check_somebody_meets(meetings(), foreseen);
  for (const ProtectedSet& g : given)
    if (!g.protection.known()) context.tell(g.protection.unknown);
}

// The task among these files, whose people no network has seen.
LinkageAudit::State::Choice LinkageAudit::State::choose(const std::vector<std::string>& files) const {
  const uint64_t seed = readers.empty() ? o.split_seed : readers[0].reader->provenance().split_seed;
  const TestRows test = rows_under_test(o.faces, o.part, o.limit, files, seed);
  for (const NamedReader& a : readers) check_never_saw(a.reader->provenance(), a.file, test.identities);
  for (const ProtectionChain& chain : chains) chain.check_never_saw(test.identities);
  Choice chosen{linkage_task(test.rows, test.person, o.faces.images), {}};
  check(most_pairs() <= int64_t(test.others.size()), "--known-pairs ", most_pairs(), ": there are ",
        test.others.size(), " photographs of people who are not under test");
  if (most_pairs() > 0) chosen.known = shuffled(test.others, o.seed, kKnownStream);
  chosen.known.resize(size_t(most_pairs()));
  return chosen;
}

std::vector<Meeting> LinkageAudit::State::meetings() const {
  std::vector<Meeting> list;
  for (const NamedReader& a : readers) list.push_back(a.meeting());
  return list;
}

void LinkageAudit::State::prepare() {
  set = extract(o.faces, recogniser, cut, faces, context);
  std::vector<std::string> files;
  for (int64_t i : set.indices) files.push_back(faces.name(i));
  Choice chosen = choose(files);
  task = std::move(chosen.task);
  photographs = test_photographs(o.faces, files, task.probes);
  gallery = embed_rows(recogniser, set.features.selected(task.gallery), cut);
  const FeatureRows raw = set.features.selected(task.probes);
  probes = embed_rows(recogniser, raw, cut);
  add_set(sets, {"raw", raw, 1, "raw", 0.0, {}});
  for (NamedFeatures& g : guarded_sets(chains, given, {set, task.probes, raw, o.leaked_key}, o.faces,
                                       recogniser, faces, context))
    add_set(sets, std::move(g));
  left_out = pairs_left_out(meetings(), sets, context);
  locks = lock_knowledge(meetings(), sets, context);
  if (!chosen.known.empty()) learn_pairs(chosen.known);
  for (const NamedFeatures& features : sets)
    if (features_moved(features.protection.without_key()))
      left_out.push_back({kNobody, features.name,
                          "the recogniser does not know these features: they are in a space of their own"});
}

// Every set of protected vectors, protected as the probes are.
void LinkageAudit::State::learn_pairs(const std::vector<int64_t>& rows) {
  const FeatureRows raw = set.features.selected(rows);
  known = embed_rows(recogniser, raw, cut);
  for (const NamedFeatures& g :
       guarded_sets(chains, given, {set, rows, raw, o.leaked_key}, o.faces, recogniser, faces, context)) {
    const Shape& row = g.rows.row();
    if (row.rank() == 1 && row[0] <= LinearReader::kMostValues)
      known_stored.emplace(g.name, g.rows);
    else
      left_out.push_back({kKnownPairs, g.name,
                          "a linear map is for vectors of at most " +
                              std::to_string(LinearReader::kMostValues) + " values, not for " + row.str()});
  }
}

LinkageAudit::LinkageAudit(const LinkageSettings& settings, const Context& context)
    : state_(std::make_unique<State>(settings, context)) {}
LinkageAudit::~LinkageAudit() = default;

void LinkageAudit::prepare() { state_->prepare(); }
const LinkageTask& LinkageAudit::task() const { return state_->task; }
const std::vector<TestPhotograph>& LinkageAudit::probes() const { return state_->photographs; }
const std::string& LinkageAudit::cut() const { return state_->cut; }
const std::vector<LeftOut>& LinkageAudit::left_out() const { return state_->left_out; }
const std::vector<LockKnowledge>& LinkageAudit::locks() const { return state_->locks; }

std::vector<std::pair<std::string, ProtectionId>> LinkageAudit::protections() const {
  return protections_of(state_->sets);
}

void LinkageAudit::run(const std::function<void(const LinkageRow&)>& take) {
  const State& s = *state_;
  size_t known = 0;  // left out there
  for (const LeftOut& pair : s.left_out) known += pair.attacker == kKnownPairs;
  const int64_t pairs = int64_t(s.sets.size() * (s.readers.size() + 1) - (s.left_out.size() - known) +
                                s.known_stored.size() * s.o.known_pairs.size());
  const auto progress = s.context.begin("link", pairs, "sets of probes");
  const auto score = [&](const std::string& attacker, const NamedFeatures& features, const Tensor& read,
                         std::optional<int64_t> known_pairs) {
    LinkageRow scored = score_linkage(s.task, s.gallery, read);
    scored.attacker = attacker;
    scored.known_pairs = known_pairs;
    scored.features = features.name;
    scored.kind = features.kind;
    scored.epsilon = features.epsilon;
    for (int64_t i = 0; i < read.dim(0); ++i) scored.cosine.push_back(cosine(row(read, i), row(s.probes, i)));
    take(scored);
    progress->advance(1);
    s.context.check_stop();
  };
  for (const NamedFeatures& features : s.sets) {
    if (!features_moved(features.protection.without_key()))
      score(kNobody, features, embed_rows(s.recogniser, features.rows, s.cut), {});
    for (const NamedReader& a : s.readers)
      if (!reason_left_out(a.meeting(), features))
        score(a.name, features, embed_rows(s.recogniser, features.rows, s.cut, a.reader.get()), {});
    const auto stored = s.known_stored.find(features.name);
    for (const int64_t n : s.o.known_pairs)
      if (stored != s.known_stored.end())
        score(kKnownPairs, features,
              LinearReader(stored->second.range(0, n), s.known.slice_batch(0, n))
                  .read(features.rows.range(0, features.rows.count())),
              n);
  }
  progress->finish();
}

}  // namespace advf
