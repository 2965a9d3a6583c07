#include "advface/audit/unlinkability_audit.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "advface/audit/judge.h"

namespace advf {
namespace {

// The rows under test, and those of people who may be known.
struct Chosen {
  TestRows test;
  std::vector<int64_t> known, people;  // people: of the rows under test
};

Chosen choose(const UnlinkabilitySettings& o, const std::vector<std::string>& files,
              const std::vector<const ProtectionChain*>& chains) {
  Chosen chosen;
  chosen.test = rows_under_test(o.faces, o.part, o.limit, files, o.split_seed);
  for (const ProtectionChain* chain : chains) chain->check_never_saw(chosen.test.identities);
  chosen.people = picked(chosen.test.person, chosen.test.rows);
  record_pairs(chosen.people, MatedPairs::other_photo, o.seed, o.faces.images, 0);
  if (o.part != "all") chosen.known = split_by_identity(o.faces.labels_of(files), o.split_seed).train;
  return chosen;
}

}  // namespace

struct UnlinkabilityAudit::State {
  State(const UnlinkabilitySettings& settings, const Context& context);
  void prepare();

  UnlinkabilitySettings o;
  const Context& context;
  Recogniser recogniser;
  std::string cut;
  std::vector<ProtectionChain> first, second;  // one each, or none
  FaceSource faces;
  std::vector<ProtectedSet> given;  // two, or none

  // After prepare(). Rows of `used`, and so of the sets, are those under test, then the known ones.
  Chosen chosen;
  FeatureRows raw;
  std::string name;             // of both sets
  std::vector<StoredSet> sets;  // two, or none
  std::vector<std::string> names;
  std::vector<LeftOut> left_out;

  std::vector<const ProtectionChain*> chains() const;
  StoredSet stored(std::vector<ProtectionChain>& chain, const FeatureSet& set,
                   const std::vector<int64_t>& used);
  LinkInput input(const StoredSet& a, const StoredSet& b) const;
  bool alike() const { return sets.size() == 2 && sets[0].protection == sets[1].protection; }
};

std::vector<const ProtectionChain*> UnlinkabilityAudit::State::chains() const {
  std::vector<const ProtectionChain*> list;
  for (const auto* chain : {&first, &second})
    if (!chain->empty()) list.push_back(&chain->front());
  return list;
}

UnlinkabilityAudit::State::State(const UnlinkabilitySettings& settings, const Context& with)
    : o(settings),
      context(with),
      recogniser(Recogniser::load(o.faces.recogniser)),
      cut(o.faces.cut_of(recogniser)),
      faces(o.faces.open_images(context)) {
  check(o.first.empty() == o.second.empty() && (o.first.empty() || o.protected_files.empty()),
        "unlinkability is of two sets that are protected here, or of two files");
  for (auto [chain, specs] : {std::pair{&first, &o.first}, {&second, &o.second}})
    if (!specs->empty()) chain->emplace_back(*specs, input_of(recogniser, cut, o.faces.recogniser));
  given = open_protected_sets(o.protected_files, o.faces, faces, recogniser, cut);
  check(given.empty() || given.size() == 2, "unlinkability is of two files of protected features, not of ",
        given.size());
  choose(o, faces.names(), chains());  // told before the work; broken images then drop out
  std::vector<NamedProvenance> networks;
  for (const auto* chain : {&first, &second})
    for (const NamedProvenance& one : networks_of(*chain)) networks.push_back(one);
  tell_of_other_names(networks, o.faces.names_known(faces.names()), context);
  for (const ProtectedSet& g : given)
    if (!g.protection.known()) context.tell(g.protection.unknown);
}

StoredSet UnlinkabilityAudit::State::stored(std::vector<ProtectionChain>& chain, const FeatureSet& set,
                                            const std::vector<int64_t>& used) {
  std::vector<int64_t> images;
  for (int64_t r : used) images.push_back(set.indices[size_t(r)]);
  const auto photographs =
      photographs_of(faces, images, o.faces.face_cut(recogniser), chain[0].photograph_size());
  return {protected_rows(chain[0], raw, used, photographs, o.faces.memory_mib << 20, context), chain[0].id()};
}

void UnlinkabilityAudit::State::prepare() {
  const FeatureSet set = extract(o.faces, recogniser, cut, faces, context);
  std::vector<std::string> files;
  for (int64_t i : set.indices) files.push_back(faces.name(i));
  chosen = choose(o, files, chains());
  std::vector<int64_t> used = chosen.test.rows;
  if (!first.empty() || !given.empty()) used.insert(used.end(), chosen.known.begin(), chosen.known.end());
  raw = set.features.selected(used);
  if (!first.empty()) {
    names = {"first", "second"};
    name = first[0].id().describe();
    sets = {stored(first, set, used), stored(second, set, used)};
  }
  for (const ProtectedSet& g : given) {
    check_has_rows(g, set.features.count());
    names.push_back(g.name);
    sets.push_back({g.rows.selected(used), g.protection});
  }
  if (!given.empty()) name = "protected, " + given[0].name + " beside " + given[1].name;
  if (alike())
    context.tell("both sets are protected alike, with one key, set and seed: this is one set beside itself");
  if (sets.empty()) return;
  const LinkInput in = input(sets[0], sets[1]);
  for (const SetLinker& linker : set_linkers())
    if (const auto why = linker.why_not(in)) left_out.push_back({linker.name, name, *why});
}

LinkInput UnlinkabilityAudit::State::input(const StoredSet& a, const StoredSet& b) const {
  const int64_t asked = int64_t(chosen.test.rows.size());
  LinkInput in{recogniser, cut, raw, a, b, {}, {}, {}, {}, context};
  in.asked.resize(size_t(asked));
  std::iota(in.asked.begin(), in.asked.end(), int64_t(0));
  in.known.resize(size_t(raw.count() - asked));
  std::iota(in.known.begin(), in.known.end(), asked);
  in.known_from.cut = cut;
  in.known_from.recogniser = recogniser.fingerprint();
  in.known_from.split_seed = o.split_seed;
  in.training.epochs = o.epochs;
  in.training.seed = o.seed;
  return in;
}

UnlinkabilityAudit::UnlinkabilityAudit(const UnlinkabilitySettings& settings, const Context& context)
    : state_(std::make_unique<State>(settings, context)) {}
UnlinkabilityAudit::~UnlinkabilityAudit() = default;

void UnlinkabilityAudit::prepare() { state_->prepare(); }
int64_t UnlinkabilityAudit::images() const { return int64_t(state_->chosen.test.rows.size()); }
int64_t UnlinkabilityAudit::people() const {
  return int64_t(std::set(state_->chosen.people.begin(), state_->chosen.people.end()).size());
}
int64_t UnlinkabilityAudit::known_images() const { return state_->raw.count() - images(); }
const std::string& UnlinkabilityAudit::cut() const { return state_->cut; }
const std::vector<LeftOut>& UnlinkabilityAudit::left_out() const { return state_->left_out; }
bool UnlinkabilityAudit::same_protection() const { return state_->alike(); }

std::vector<std::pair<std::string, ProtectionId>> UnlinkabilityAudit::protections() const {
  std::vector<std::pair<std::string, ProtectionId>> list;
  for (size_t i = 0; i < state_->sets.size(); ++i)
    list.emplace_back(state_->names[i], state_->sets[i].protection);
  return list;
}

void UnlinkabilityAudit::run(const std::function<void(const UnlinkabilityRow&)>& take) {
  const State& s = *state_;
  std::vector<std::pair<MatedPairs, RecordPairs>> pairs;
  for (const auto& kind : kMatedPairs)
    pairs.emplace_back(kind.first, record_pairs(s.chosen.people, kind.first, s.o.seed, s.o.faces.images));
  const auto rows_of = [&](const SetLinker& linker, const LinkInput& in, const std::string& features,
                           const std::string& kind) {
    const PairScore score = linker.make(in);
    for (size_t k = 0; k < pairs.size(); ++k) {
      s.context.check_stop();
      UnlinkabilityRow row{linker.name, features, kind, kMatedPairs[k].second, {}, {}};
      for (const RecordPair& pair : pairs[k].second.mated)
        row.people.push_back(s.chosen.people[size_t(pair.first)]);
      row.result = score_unlinkability(pairs[k].second, s.chosen.people, score, s.o.odds, s.o.seed);
      take(row);
    }
  };
  const StoredSet open{s.raw, {}};
  for (const SetLinker& linker : set_linkers())
    if (!linker.needs_known) rows_of(linker, s.input(open, open), "raw", "raw");
  for (const SetLinker& linker : set_linkers())
    if (!s.sets.empty() && !linker.why_not(s.input(s.sets[0], s.sets[1])))
      rows_of(linker, s.input(s.sets[0], s.sets[1]), s.name, "protected");
}

}  // namespace advf
