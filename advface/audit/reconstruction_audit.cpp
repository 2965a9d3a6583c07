#include "advface/audit/reconstruction_audit.h"

#include <algorithm>
#include <numeric>

#include "advface/attackers/registry.h"
#include "advface/audit/metrics.h"
#include "advface/audit/verifier_source.h"
#include "advface/core/enrolment.h"
#include "advface/networks/mean_face.h"
#include "advface/protections/random_noise.h"
#include "advface/protections/registry.h"
#include "nn/loss.h"
#include "tensor/hash.h"
#include "tensor/ops.h"

namespace advf {
namespace {

constexpr int64_t kBlock = kAttackedAtOnce;  // features in memory
constexpr const char* kNobodyElse =
    " is made of people who are not under test, but --split all leaves nobody; take test or validation";
constexpr const char* kNothingAsked = "there are no features of the kinds that --sets asks about";

// Rows of the result and a folder of images have these names.
void check_not_reserved(const std::string& attacker) {
  for (const char* name : {"mean face", "photograph", "originals"})
    check(attacker != name, "an attacker is called \"", name,
          "\", which stands for something else in the result; give it another name");
}

struct NamedAttacker {
  std::string name, file;
  std::unique_ptr<Attacker> attacker;
  bool needs_people = false;  // who are not under test
  // The same without a file, for features that went through a protection which the recogniser does not know.
  std::vector<std::unique_ptr<Attacker>> through = {};

  Meeting meeting() const {
    Meeting m{name, file, &attacker->provenance(), attacker->row()};
    for (const auto& one : through) m.also.push_back({name, file, &one->provenance(), one->row()});
    m.asks = attacker->asks_matching_side();
    return m;
  }
  // The one that meets features which were protected so.
  const Attacker& suited(const ProtectionId& protection) const {
    for (const auto& one : through)
      if (one->provenance().protection.is_like(protection.without_key())) return *one;
    return *attacker;
  }
};

// How much an attacker says by itself of what all must agree on: the split and the size of the images.
enum class Says { all, size, nothing };

// In the order of the call. Those that say less follow the others in what they must agree on.
std::vector<NamedAttacker> load_attackers(const ReconstructionSettings& o, AttackerInput input,
                                          const std::vector<const ProtectionChain*>& chains) {
  const Recogniser& recogniser = *input.recogniser;
  const FeatureSpace raw{recogniser.feature_shape(input.cut), recogniser.domain(input.cut)};
  std::vector<NamedAttacker> list(o.attackers.size());
  std::vector<Meeting> met;              // so far
  const NamedAttacker* first = nullptr;  // that was loaded
  for (const Says says : {Says::all, Says::size, Says::nothing})
    for (size_t i = 0; i < list.size(); ++i) {
      const auto [given, what] = split_attacker(o.attackers[i]);
      const std::unique_ptr<AttackerSpec> spec = named_attacker(what, o.seed);
      if (says != (!spec ? Says::all : spec->knows_size() ? Says::size : Says::nothing)) continue;
      list[i] = {
          given, what, spec ? spec->make(input) : load_attacker(what), spec && spec->needs_people(), {}};
      NamedAttacker& a = list[i];
      if (a.name.empty()) a.name = a.attacker->name();
      check_not_reserved(a.name);
      const Provenance& from = a.attacker->provenance();
      check_takes(from, a.attacker->row(), "the " + a.attacker->kind() + " " + what,
                  space_after(from.protection, raw).row, recogniser.fingerprint(), input.cut,
                  o.faces.recogniser);
      if (!first) {
        first = &a;
        input.split_seed = from.split_seed;
        input.image_size = a.attacker->image_size();
      }
      check(input.image_size == a.attacker->image_size(), what, ": makes images of ",
            a.attacker->image_size(), " pixels, the first attacker of ", input.image_size);
      for (const ProtectionChain* chain : chains) {
        if (!spec || !spec->looks_through(*chain)) continue;
        AttackerInput with = input;
        with.through = chain;
        a.through.push_back(spec->make(with));
      }
      add_meeting(met, a.meeting());
    }
  return list;
}

std::vector<ProtectionChain> load_chains(const ReconstructionSettings& o, const Recogniser& recogniser,
                                         const std::string& cut) {
  std::vector<ProtectionChain> chains;
  for (const ProtectionSpecs& specs : o.protections)
    chains.emplace_back(specs, input_of(recogniser, cut, o.faces.recogniser));
  return chains;
}

// The chains as attackers know them, who have no key.
class ChainsWithoutKey {
 public:
  ChainsWithoutKey(const ReconstructionSettings& o, const std::vector<ProtectionChain>& chains,
                   const Recogniser& recogniser, const std::string& cut) {
    for (size_t i = 0; i < chains.size(); ++i) {
      if (!chains[i].needs_key()) {
        known_.push_back(&chains[i]);
        continue;
      }
      ProtectionSpecs specs = o.protections[i];
      std::erase_if(specs, [](const auto& spec) { return spec->needs_key(); });
      if (specs.empty()) continue;
      made_.push_back(
          std::make_unique<ProtectionChain>(specs, input_of(recogniser, cut, o.faces.recogniser)));
      known_.push_back(made_.back().get());
    }
  }
  const std::vector<const ProtectionChain*>& list() const { return known_; }

 private:
  std::vector<std::unique_ptr<ProtectionChain>> made_;
  std::vector<const ProtectionChain*> known_;
};

FeatureRows noise_of_equal_norm(const FeatureRows& raw, const FeatureRows& guarded, FeatureDomain domain,
                                uint64_t seed, int64_t memory_bytes) {
  FeatureSpool spool(raw.row(), memory_bytes);
  for (int64_t begin = 0; begin < raw.count(); begin += kBlock) {
    const int64_t end = std::min(raw.count(), begin + kBlock);
    spool.append(equal_norm_noise(raw.range(begin, end), guarded.range(begin, end),
                                  domain == FeatureDomain::sphere, seed, begin));
  }
  return spool.finish();
}

struct Made {
  Tensor images;
  std::vector<int64_t> queries;
};
// Of the features [first, last).
Made attack(const Attacker& attacker, const FeatureRows& features, int64_t first, int64_t last,
            const Context& context, ProgressLine& progress) {
  Made made;
  made.images = collect_rows(last - first, kBlock, [&](int64_t begin, int64_t end) {
    const Tensor images = attacker.attack(features.batch(first + begin, first + end), context);
    const std::vector<int64_t> asked = attacker.queries();
    made.queries.insert(made.queries.end(), asked.begin(), asked.end());
    progress.advance(end - begin);
    return images;
  });
  return made;
}

std::optional<Recogniser> load_second(const std::string& card) {
  if (card.empty()) return {};
  return Recogniser::load(card);
}

}  // namespace

const std::vector<std::string>& feature_kinds() {
  static const std::vector<std::string> names{"raw", "protected", "noise", "identity"};
  return names;
}

struct ReconstructionAudit::State {
  State(const ReconstructionSettings& settings, const Context& context);
  void prepare();
  void take_images(const std::vector<int64_t>& images);

  ReconstructionSettings o;
  const Context& context;
  Recogniser recogniser;
  std::optional<Recogniser> second;
  std::string cut;
  std::vector<ProtectionChain> chains;
  ChainsWithoutKey looked_through;
  std::vector<NamedAttacker> attackers;
  std::vector<VerifierSource> sources;
  FaceSource faces;
  std::vector<ProtectedSet> given;

  // After prepare().
  FeatureSet set;
  TestRows test;
  TestImages all, known;  // known: by other photographs
  std::vector<NamedFeatures> sets;
  std::vector<LeftOut> left_out;
  std::vector<LockKnowledge> locks;
  Tensor mean_face_;

  const Attacker& first() const { return *attackers[0].attacker; }
  bool asks(const std::string& kind) const {
    return o.kinds.empty() || std::find(o.kinds.begin(), o.kinds.end(), kind) != o.kinds.end();
  }
  std::vector<Meeting> meetings() const;
  std::vector<NamedFeatures> foreseen() const;
  std::vector<NamedFeatures> feature_sets(const FeatureRows& raw);
  FeatureRows enrolled() const;
  Tensor mean_face(int size);
  // The images under test among these files, whose people no network has seen.
  TestRows choose_unseen(const std::vector<std::string>& files) const;
};

ReconstructionAudit::State::State(const ReconstructionSettings& settings, const Context& with)
    : o(settings),
      context(with),
      recogniser(Recogniser::load(o.faces.recogniser)),
      second(load_second(o.second_recogniser)),
      cut(o.faces.cut_of(recogniser)),
      chains(load_chains(o, recogniser, cut)),
      looked_through(o, chains, recogniser, cut),
      attackers(load_attackers(o,
                               {.recogniser = &recogniser,
                                .cut = cut,
                                .split_seed = o.split_seed,
                                .mean_face = [this](int size) { return mean_face(size); },
                                .others = [this] { return set.features.selected(test.others); },
                                .threshold = [this] { return all.verifiers[0].threshold; }},
                               looked_through.list())),
      faces(o.faces.open_images(context)) {
  sources.push_back(
      {"deployed", &recogniser, earlier_threshold(o.thresholds, "deployed", recogniser, o.fmr), o.fmr});
  if (second) {
    check_same_crop(*second, recogniser);
    sources.push_back({"second", &*second, earlier_threshold(o.thresholds, "second", *second, o.fmr), o.fmr});
    check_another(*second, recogniser);
  }
  given = open_protected_sets(o.protected_files, o.faces, faces, recogniser, cut);
  choose_unseen(faces.names());  // told before the work; broken images then drop out
  std::vector<NamedProvenance> networks = networks_of(chains);
  for (const NamedAttacker& a : attackers) networks.push_back({a.file, &a.attacker->provenance()});
  tell_of_other_names(networks, o.faces.names_known(faces.names()), context);
  check_somebody_meets(meetings(), foreseen());
  for (const ProtectedSet& g : given)
    if (!g.protection.known()) context.tell(g.protection.unknown);
}

TestRows ReconstructionAudit::State::choose_unseen(const std::vector<std::string>& files) const {
  TestRows chosen =
      rows_under_test(o.faces, o.part, o.limit, files, first().provenance().split_seed, o.spread);
  for (const NamedAttacker& attacker : attackers)
    check_never_saw(attacker.attacker->provenance(), attacker.file, chosen.identities);
  for (const ProtectionChain& chain : chains) chain.check_never_saw(chosen.identities);
  for (const NamedAttacker& attacker : attackers)
    check(!attacker.needs_people || !chosen.others.empty(), attacker.file, " begins at the mean face, which",
          kNobodyElse);
  check(!chosen.others.empty() || !o.thresholds.empty(),
        "there are no people outside the test to set a threshold on; use --thresholds");
  return chosen;
}

void ReconstructionAudit::State::take_images(const std::vector<int64_t>& images) {
  const FaceCache cache(faces, images, o.faces.face_cut(recogniser), first().image_size());
  check(cache.count() == int64_t(images.size()), "some images became unreadable; run again");
  all.images.resize(images.size());
  std::iota(all.images.begin(), all.images.end(), int64_t(0));
  for (int64_t i : images) all.files.push_back(faces.name(i));
  all.identities = test.identities;
  for (int64_t r : test.rows) all.people.push_back(test.person[size_t(r)]);
  all.faces = collect_rows(cache.count(), kBlock,
                           [&](int64_t begin, int64_t end) { return cache.batch(begin, end); });
  for (const VerifierSource& source : sources)
    all.verifiers.push_back(make_verifier(o.faces, source, faces, set, test, context));
}

// Of people who are not under test, for attackers that have seen nobody.
Tensor ReconstructionAudit::State::mean_face(int size) {
  constexpr size_t kMost = 1024;  // more change it hardly
  if (mean_face_.defined() && mean_face_.dim(1) == size) return mean_face_;
  check(!test.others.empty(), "the mean face", kNobodyElse);
  std::vector<int64_t> images;
  for (size_t i = 0; i < std::min(test.others.size(), kMost); ++i)
    images.push_back(set.indices[size_t(test.others[i])]);
  const FaceCache cache(faces, images, o.faces.face_cut(recogniser), size);
  std::vector<int64_t> all_of(images.size());
  std::iota(all_of.begin(), all_of.end(), int64_t(0));
  return mean_face_ =
             mean_face_of([&](const std::vector<int64_t>& rows) { return cache.batch(rows); }, all_of);
}

std::vector<Meeting> ReconstructionAudit::State::meetings() const {
  std::vector<Meeting> list;
  for (const NamedAttacker& attacker : attackers) list.push_back(attacker.meeting());
  return list;
}

// Of the sets that there will be what is known before the work. Whether somebody has another photograph is
// not.
std::vector<NamedFeatures> ReconstructionAudit::State::foreseen() const {
  const NamedFeatures raw = foreseen_raw(recogniser.feature_shape(cut));
  std::vector<NamedFeatures> list;
  for (const char* kind : {"raw", "identity"})
    if (asks(kind)) {
      list.push_back(raw);
      list.back().kind = list.back().name = kind;
    }
  if (asks("protected") || asks("noise"))
    for (const NamedFeatures& g : foreseen_guarded(chains, given, o.leaked_key, o.called)) {
      if (asks("protected")) list.push_back(g);
      if (!asks("noise") || features_moved(g.protection)) continue;
      list.push_back(raw);
      list.back().kind = list.back().name = "noise";
    }
  check(!list.empty(), kNothingAsked);
  return list;
}

// The raw features, those that are protected here and those of files, and beside each of these noise of equal
// norm, where they are still of the raw ones' shape; of these what is asked about.
std::vector<NamedFeatures> ReconstructionAudit::State::feature_sets(const FeatureRows& raw) {
  std::vector<NamedFeatures> sets;
  if (asks("raw")) sets.push_back({"raw", raw, 1, "raw", 0.0, {}});
  if (!asks("protected") && !asks("noise")) return sets;
  for (const NamedFeatures& g : guarded_sets(chains, given, {set, test.rows, raw, o.leaked_key, o.called},
                                             o.faces, recogniser, faces, context)) {
    if (asks("protected")) add_set(sets, g);
    // Behind a leaked key may lie the raw feature: no noise is like that.
    if (!g.cosine || g.protection.is_raw() || !asks("noise")) continue;
    const FeatureRows noise =
        noise_of_equal_norm(raw, g.rows, recogniser.domain(cut), o.seed, o.faces.memory_mib << 20);
    sets.push_back({"noise" + g.name.substr(std::string_view("protected").size()),
                    noise,
                    mean_cosine(noise, raw),
                    "noise",
                    g.epsilon,
                    {}});
  }
  return sets;
}

// The features of those under test, before they are protected.
FeatureRows ReconstructionAudit::State::enrolled() const {
  if (!o.average) return set.features.selected(test.rows);
  for (const ProtectionChain& chain : chains)
    check(chain.photograph_size() == 0,
          "objective original looks at one photograph, but a record is made of several here");
  const RowsByPerson people(test.person);
  const std::vector<int64_t> next = next_photographs(test, people);
  std::vector<std::vector<int64_t>> groups;
  for (size_t i = 0; i < test.rows.size(); ++i)
    groups.push_back(enrolled_with(test.rows[i], people.of(test.rows[i]), *o.average,
                                   [&](int64_t other) { return other == next[i]; }));
  return means_of(set.features, groups, recogniser.domain(cut), o.faces.memory_mib << 20, [&](int64_t g) {
    return faces.name(set.indices[size_t(test.rows[size_t(g)])]) + ", enrolled with others of the person";
  });
}

void ReconstructionAudit::State::prepare() {
  set = extract(o.faces, recogniser, cut, faces, context);
  std::vector<std::string> files;
  for (int64_t i : set.indices) files.push_back(faces.name(i));
  test = choose_unseen(files);
  std::vector<int64_t> images;
  for (int64_t r : test.rows) images.push_back(set.indices[size_t(r)]);
  take_images(images);

  const FeatureRows raw = enrolled();
  sets = feature_sets(raw);
  if (!all.with_another_photo().empty() && asks("identity")) {
    known = all.only(all.with_another_photo());
    std::vector<int64_t> rows_of;
    for (int64_t i : known.images) rows_of.push_back(test.rows[size_t(i)]);
    const FeatureRows means = means_of_others(set.features, rows_of, RowsByPerson(test.person),
                                              recogniser.domain(cut), o.faces.memory_mib << 20);
    sets.push_back(
        {"identity only", means, mean_cosine(means, raw.selected(known.images)), "identity", {}, {}, &known});
  }
  check(!sets.empty(), kNothingAsked);
  left_out = pairs_left_out(meetings(), sets, context);
  locks = lock_knowledge(meetings(), sets, context);
}

ReconstructionAudit::ReconstructionAudit(const ReconstructionSettings& settings, const Context& context)
    : state_(std::make_unique<State>(settings, context)) {}
ReconstructionAudit::~ReconstructionAudit() = default;

void ReconstructionAudit::prepare() { state_->prepare(); }
const TestImages& ReconstructionAudit::test() const { return state_->all; }
const std::string& ReconstructionAudit::cut() const { return state_->cut; }
const std::vector<LeftOut>& ReconstructionAudit::left_out() const { return state_->left_out; }
const std::vector<LockKnowledge>& ReconstructionAudit::locks() const { return state_->locks; }

std::string ReconstructionAudit::input_hash() const {
  const State& s = *state_;
  uint64_t hash = kFnvStart;
  const auto add = [&](const std::string& text) {
    hash = fnv1a(std::string_view(text.c_str(), text.size() + 1), hash);
  };
  add(feeding_hash(s.recogniser.card()));
  add(s.o.faces.face_cut(s.recogniser).key());
  add(s.o.average ? "average of " + std::to_string(*s.o.average) : "");
  for (size_t i = 0; i < s.all.files.size(); ++i) {
    add(s.all.files[i]);
    add(s.all.identities[i]);
    add(file_fingerprint(s.faces.path(s.set.indices[size_t(s.test.rows[i])])));
  }
  for (const ProtectedSet& given : s.given) {
    add(given.name);
    add(given.rows.selected(s.test.rows).hash());
  }
  return hex(hash);
}

std::vector<std::pair<std::string, ProtectionId>> ReconstructionAudit::protections() const {
  return protections_of(state_->sets);
}

std::vector<std::pair<std::string, const Attacker*>> ReconstructionAudit::attackers() const {
  std::vector<std::pair<std::string, const Attacker*>> list;
  for (const NamedAttacker& a : state_->attackers) list.emplace_back(a.name, a.attacker.get());
  return list;
}

void ReconstructionAudit::run(
    const std::function<void(const ReconstructionRow&, const TestImages&, const Tensor& images)>& take) {
  State& s = *state_;
  struct Share {
    int64_t begin, end;
    TestImages about;
  };
  const auto share_of = [&](const TestImages& images) {
    const int64_t n = int64_t(images.images.size());
    const auto [begin, end] = s.o.share ? s.o.share(n, kBlock) : std::pair(int64_t(0), n);
    return Share{begin, end, begin < end ? images.range(begin, end) : TestImages()};
  };
  const Share all = share_of(s.all), known = share_of(s.known);
  const auto mine = [&](const NamedFeatures& features) -> const Share& {
    return features.about ? known : all;
  };
  int64_t reconstructions = 0;
  for (const NamedAttacker& attacker : s.attackers)
    for (const NamedFeatures& features : s.sets)
      if (!reason_left_out(attacker.meeting(), features))
        reconstructions += mine(features).end - mine(features).begin;
  const auto progress = s.context.begin(kAttackWork, reconstructions, "reconstructions");
  const auto score = [&](const std::string& attacker, const NamedFeatures& features, bool matched,
                         const Tensor& made, const std::vector<int64_t>& queries) {
    s.context.check_stop();
    const TestImages& about = mine(features).about;
    ReconstructionRow row{attacker,      features.name,    matched, features.cosine,
                          features.kind, features.epsilon, {},      queries};
    if (made.defined()) row.measures = judge_all(made, about);
    take(row, about, made);
  };
  const int64_t n = all.end - all.begin;
  const ChannelMoments target = channel_moments(s.first().mean_face());
  score("mean face", {"none", {}, 0.0, "none", {}, {}}, false,
        n > 0 ? repeat(s.first().mean_face(), n) : Tensor(), {});
  // The most that can be had: the photograph, as small as the attackers' images.
  score("photograph", {"none", {}, 1.0, "none", {}, {}}, false, n > 0 ? all.about.faces : Tensor(), {});
  for (const NamedAttacker& attacker : s.attackers)
    for (const NamedFeatures& features : s.sets) {
      if (reason_left_out(attacker.meeting(), features)) continue;
      const Attacker& suited = attacker.suited(features.protection);
      const bool answered = suited.asks_matching_side() && features.unlocked;
      const auto& [begin, end, about] = mine(features);
      Made made;
      if (begin < end)
        made =
            attack(suited, answered ? *features.unlocked : features.rows, begin, end, s.context, *progress);
      score(attacker.name, features, false, made.images, made.queries);
      // Each pair as it is and moment-matched.
      if (begin < end) made.images = match_moments(made.images, target);
      score(attacker.name, features, true, made.images, made.queries);
    }
  progress->finish();
}

}  // namespace advf
