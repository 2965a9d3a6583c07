#include "advface/audit/verification_audit.h"

#include <algorithm>
#include <filesystem>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "advface/core/enrolment.h"
#include "advface/core/feature_file.h"
#include "advface/networks/reader.h"
#include "advface/protections/registry.h"
#include "tensor/ops.h"

namespace advf {

std::string paired_file(const std::string& folder, const std::string& name) {
  namespace fs = std::filesystem;
  const std::string picture = FaceName::parse(name).picture, face = name.substr(picture.size());
  if (fs::exists(fs::path(folder) / picture)) return name;
  for (const char* ending : {".png", ".jpeg", ".JPG", ".pgm", ".ppm"}) {
    const std::string other = fs::path(picture).replace_extension(ending).string();
    if (fs::exists(fs::path(folder) / other)) return other + face;
  }
  fail(folder, "/", name, " does not exist, though the pairs name it");
}

namespace {

// Protected features from a file, and whose they are.
struct GivenFeatures {
  FeatureRows rows;
  ProtectionId protection;
  std::unordered_map<std::string, int64_t> row_of;

  // The rows of these files, all of which it must have.
  std::vector<int64_t> order_of(const std::vector<std::string>& files, const std::string& list) const {
    std::vector<int64_t> order;
    for (const std::string& file : files) {
      const auto found = row_of.find(file);
      check(found != row_of.end(), list, " does not name ", file, ", which the pairs need");
      order.push_back(found->second);
    }
    return order;
  }
};

GivenFeatures open_protected(const VerificationSettings& o, const Recogniser& recogniser,
                             const std::string& cut) {
  FeatureFile file = open_feature_file(o.protected_file);
  check_comes_from(file.info, o.protected_file, recogniser.fingerprint(), cut, o.faces.recogniser);
  check(!o.protection.empty() || !changes_probe(file.info.protection), o.protected_file,
        ": a probe must be changed before it is compared with features that are ",
        file.info.protection.describe(), "; say how, with --protect and its files");
  const FeatureSpace like =
      space_after(file.info.protection, {recogniser.feature_shape(cut), recogniser.domain(cut)});
  GivenFeatures given{std::move(file.rows), std::move(file.info.protection), {}};
  const FeatureRows& rows = given.rows;
  const FaceSource listed = FaceSource::open(o.faces.images, o.protected_list);
  check(rows.count() == listed.size(), o.protected_file, " has shape ", rows.shape(), ", but ",
        o.protected_list, " names ", listed.size(), " files");
  check(rows.row() == like.row, o.protected_file, ": rows of shape ", rows.row(), " for features of shape ",
        like.row);
  check_rows(rows, like.domain, o.protected_file);
  for (int64_t i = 0; i < listed.size(); ++i) given.row_of[listed.name(i)] = i;
  return given;
}

// The chain that changes probes for what is stored in the file: of what was applied to that, the part that
// probes go through as well.
ProtectionChain chain_beside(const VerificationSettings& o, ProtectionInput input,
                             const ProtectionId& stored) {
  input.beside = &stored;
  input.beside_what = o.protected_file;
  ProtectionChain chain(o.protection, input);
  check(stored.known(), stored.unknown, ", so --protect cannot go with it");
  ProtectionId of_probes = stored;
  std::erase_if(of_probes.applied, [](const AppliedProtection& a) { return !changes_probe({{a}, {}}); });
  check(chain.id() == of_probes, o.protected_file, ": probes for its features must be ", of_probes.describe(),
        ", but --protect says ", chain.id().describe(), ": ", of_probes.difference(chain.id()));
  return chain;
}

// The rows that advface-extract would give these files of the folder (or of --list): a record is protected
// under its number there, whichever of them the pairs name. Unreadable images and those without a face have
// no row, so all are looked at.
std::vector<int64_t> record_numbers(FaceSource& all, const FaceCut& cut,
                                    const std::vector<std::string>& files, const std::string& list,
                                    const Context& context) {
  constexpr int64_t kChunk = 256;
  std::unordered_map<std::string, int64_t> number;
  const auto progress = context.begin("number", all.size(), "images");
  for (int64_t begin = 0; begin < all.size(); begin += kChunk) {
    context.check_stop();
    const int64_t end = std::min(all.size(), begin + kChunk);
    for (int64_t i : all.load(begin, end, cut, 1).good)
      number.try_emplace(all.name(i), int64_t(number.size()));
    progress->advance(end - begin);
  }
  progress->finish();
  std::vector<int64_t> records;
  for (const std::string& file : files) {
    const auto found = number.find(file);
    check(found != number.end(), list, " does not name ", file, ", which the pairs need");
    records.push_back(found->second);
  }
  return records;
}

// The names in the pairs become those of files in the folder; these, each once, in order.
std::vector<std::string> name_files(const std::string& folder, PairList& pairs) {
  std::unordered_map<std::string, std::string> actual;
  std::vector<std::string> names;
  for (Pair& p : pairs.pairs)
    for (std::string* name : {&p.a, &p.b}) {
      auto [it, fresh] = actual.try_emplace(*name);
      if (fresh) {
        it->second = paired_file(folder, *name);
        names.push_back(it->second);
      }
      *name = it->second;
    }
  std::sort(names.begin(), names.end());
  return names;
}

// The photographs of all people of whom one is among these, in order.
std::vector<std::string> all_of_same_people(const FaceSource& all, const FaceSettings& faces,
                                            const std::vector<std::string>& names) {
  const Labels labels = faces.labels_of(all.names());
  const std::unordered_set<std::string> named(names.begin(), names.end());
  std::unordered_set<int64_t> people;
  for (size_t i = 0; i < labels.identities.size(); ++i)
    if (named.contains(all.names()[i])) people.insert(person_key(labels.identities[i]));
  std::vector<std::string> theirs(names);
  for (size_t i = 0; i < labels.identities.size(); ++i)
    if (people.contains(person_key(labels.identities[i])) && !named.contains(all.names()[i]))
      theirs.push_back(all.names()[i]);
  std::sort(theirs.begin(), theirs.end());
  return theirs;
}

// The photographs that the pairs name, what is stored of them and what is compared.
class PairedFaces {
 public:
  // Judges all that can be judged before a photograph is looked at.
  PairedFaces(const VerificationSettings& o, const Recogniser& recogniser, PairList& pairs,
              const Context& context);
  // Features, raw and protected, as embeddings.
  void embed();
  // Pairs whose images were read, scored; stored: embeddings of what is stored, undefined for raw features.
  std::vector<ScoredPair> score(const Tensor& stored) const;
  std::vector<std::pair<std::string, std::string>> files() const;  // of each, in its order

  ProtectionId protection() const {
    return protection_ && o_.protected_file.empty() ? protection_->id() : given_.protection;
  }

  // How far what is stored may be turned, where it is proved.
  std::optional<double> largest_angle() const {
    if (!protection_ || !o_.protected_file.empty()) return {};
    return protection_->guarantee().largest_angle;
  }

  // Of photographs that the gallery's records are made of, on average over pairs.
  double photographs() const;

  Tensor raw, guarded;  // in host memory; guarded is undefined without protection,
  Tensor adapted;       // and adapted, of protected features behind the adapter, without one
  Tensor enrolled;      // what is compared with raw in their place where nothing is protected

 private:
  // A pair whose images were read, with their rows.
  struct Compared {
    const Pair* pair;
    int64_t a, b;
  };
  std::vector<Compared> compared() const;
  void check_names() const;
  FeatureRows enrol();
  // By which cut an image is looked at to learn whether it has a row: the cheapest that can tell.
  FaceCut looked_for() const;
  Tensor counterparts(const std::vector<std::pair<int64_t, int64_t>>& rows) const;
  Tensor embedded(const FeatureRows& stored) const;

  const VerificationSettings& o_;
  const Recogniser& recogniser_;
  const PairList& pairs_;
  const Context& context_;
  std::string cut_;
  std::vector<std::string> names_;
  std::optional<ProtectionChain> protection_;
  std::unique_ptr<Reader> adapter_;
  std::optional<FaceSource> all_;  // among which the files of the pairs are, and have their numbers
  GivenFeatures given_;
  FaceSource faces_;
  // After embed().
  FeatureSet set_;
  std::unordered_map<std::string, int64_t> row_;
  std::vector<int64_t> records_;  // of each row, where protected here
  std::vector<size_t> averaged_;  // of how many photographs each row is made; none: of its own
};

PairedFaces::PairedFaces(const VerificationSettings& o, const Recogniser& recogniser, PairList& pairs,
                         const Context& context)
    : o_(o),
      recogniser_(recogniser),
      pairs_(pairs),
      context_(context),
      cut_(o.faces.cut_of(recogniser)),
      names_(name_files(o.faces.images, pairs)),
      faces_(o.faces.images, names_) {
  if (!o.protected_file.empty()) given_ = open_protected(o, recogniser, cut_);
  if (!o.protection.empty()) {
    const ProtectionInput input = input_of(recogniser, cut_, o.faces.recogniser);
    protection_.emplace(o.protected_file.empty() ? ProtectionChain(o.protection, input)
                                                 : chain_beside(o, input, given_.protection));
  }
  if (o.side == "both") check_records_compare(protection(), "--side both (take gallery or probe)");
  if (!o.adapter.empty()) {
    adapter_ = Reader::load(o.adapter, ReaderRole::adapter);
    adapter_->check_fits(recogniser.feature_shape(cut_), recogniser.fingerprint(), cut_, o.faces.recogniser);
    if (protection_ && o.protected_file.empty()) adapter_->check_trained_on(protection_->id());
  }
  if (protection_ || adapter_) {
    const std::vector<std::string> people = o.faces.labels_of(names_).identities;
    if (protection_) protection_->check_never_saw(people);
    if (adapter_) adapter_->check_never_saw(people);
  }
  if ((protection_ && o.protected_file.empty()) || !o.faces.list.empty() || o.average)
    all_.emplace(o.faces.open_images(context));
  // Of a file that nobody described only its owner knows how it was protected.
  if (adapter_ && !o.protected_file.empty() && given_.protection.known())
    adapter_->check_trained_on(given_.protection);
  faces_.set_max_broken_share(1);  // of the few that are looked at here
  check_names();
  if (o.average) {
    check(!protection_ || protection_->photograph_size() == 0,
          "objective original looks at one photograph, but a record is made of several here");
    names_ = all_of_same_people(*all_, o.faces, names_);
    faces_ = FaceSource(o.faces.images, names_);
  }
  o.faces.limit(faces_);
  if (!given_.protection.known()) context.tell(given_.protection.unknown);
  if (!o.protected_file.empty() && given_.protection.is_raw())
    context.tell(o.protected_file + ": its features are raw, so nothing is protected here");
}

FaceCut PairedFaces::looked_for() const {
  const FaceCut cut = o_.faces.face_cut(recogniser_);
  return cut.finds() ? cut : FaceCut();
}

// Every photograph has a number, or a row.
void PairedFaces::check_names() const {
  if (all_) {
    const std::unordered_set<std::string> known(all_->names().begin(), all_->names().end());
    for (const std::string& name : names_)
      check(known.contains(name), o_.faces.list.empty() ? o_.faces.images : o_.faces.list, " does not name ",
            name, ", which the pairs need");
  }
  if (o_.protected_file.empty()) return;
  FaceSource looked_at(o_.faces.images, names_);
  looked_at.set_max_broken_share(1);
  for (size_t i = 0; i < names_.size(); ++i)
    check(given_.row_of.contains(names_[i]) ||
              looked_at.load(int64_t(i), int64_t(i) + 1, looked_for(), 1).good.empty(),
          o_.protected_list, " does not name ", names_[i], ", which the pairs need");
}

// Features that a protection has moved to a space of their own are compared as they are: by their cosine.
Tensor PairedFaces::embedded(const FeatureRows& stored) const {
  const FeatureSpace space =
      space_after(protection(), {recogniser_.feature_shape(cut_), recogniser_.domain(cut_)});
  if (!space.moved) return embed_rows(recogniser_, stored, cut_);
  if (space.domain == FeatureDomain::sphere) return stored.range(0, stored.count());
  const NoTapeScope off;
  const Tensor rows = stored.batch(0, stored.count());
  return l2_normalise(reshape(rows, {rows.dim(0), stored.row().numel()})).on_host();
}

// What is stored of each row before it is protected: of a photograph of the gallery the mean with others.
FeatureRows PairedFaces::enrol() {
  if (!o_.average) return set_.features;
  std::vector<std::string> files;
  for (const int64_t i : set_.indices) files.push_back(faces_.name(i));
  std::vector<int64_t> person;
  for (const std::string& who : o_.faces.labels_of(files).identities) person.push_back(person_key(who));
  std::unordered_map<int64_t, std::unordered_set<int64_t>> probes;  // by the row in the gallery
  for (const Compared& c : compared()) {
    auto& mine = probes[c.a];
    if (c.pair->genuine) mine.insert(c.b);
  }
  const RowsByPerson people(person);
  std::vector<std::vector<int64_t>> groups;
  for (int64_t r = 0; r < set_.features.count(); ++r) {
    const auto found = probes.find(r);
    groups.push_back(found == probes.end() ? std::vector<int64_t>{r}
                                           : enrolled_with(r, people.of(r), *o_.average, [&](int64_t other) {
                                               return found->second.contains(other);
                                             }));
    averaged_.push_back(groups.back().size());
  }
  return means_of(set_.features, groups, recogniser_.domain(cut_), o_.faces.memory_mib << 20,
                  [&](int64_t g) { return files[size_t(g)] + ", enrolled with others of the person"; });
}

double PairedFaces::photographs() const {
  const std::vector<Compared> pairs = compared();
  if (averaged_.empty() || pairs.empty()) return 1;
  double sum = 0;
  for (const Compared& c : pairs) sum += double(averaged_[size_t(c.a)]);
  return sum / double(pairs.size());
}

void PairedFaces::embed() {
  set_ = extract(o_.faces, recogniser_, cut_, faces_, context_);
  check(!set_.indices.empty(), o_.faces.images, ": no image could be read");
  std::vector<std::string> files;
  for (size_t r = 0; r < set_.indices.size(); ++r) {
    files.push_back(faces_.name(set_.indices[r]));
    row_[files.back()] = int64_t(r);
  }
  raw = embed_rows(recogniser_, set_.features, cut_);
  const FeatureRows records = enrol();
  enrolled = o_.average ? embed_rows(recogniser_, records, cut_) : raw;
  FeatureRows stored;
  if (!o_.protected_file.empty()) {
    records_ = given_.order_of(files, o_.protected_list);
    stored = given_.rows.selected(records_);
  } else if (protection_) {
    const auto photographs =
        photographs_of(faces_, set_.indices, o_.faces.face_cut(recogniser_), protection_->photograph_size());
    records_ = record_numbers(*all_, looked_for(), files, o_.faces.list, context_);
    stored =
        protected_rows(*protection_, records, records_, photographs, o_.faces.memory_mib << 20, context_);
  }
  if (stored.count() > 0) guarded = embedded(stored);
  if (adapter_) adapted = embed_rows(recogniser_, stored, cut_, adapter_.get());
}

// For each pair of rows (stored, other): what the raw feature of the other one is turned into before it is
// compared with what is stored.
Tensor PairedFaces::counterparts(const std::vector<std::pair<int64_t, int64_t>>& rows) const {
  constexpr int64_t kBatch = 256;
  return collect_rows(int64_t(rows.size()), kBatch, [&](int64_t begin, int64_t end) {
    std::vector<int64_t> others, records;
    for (int64_t i = begin; i < end; ++i) {
      records.push_back(records_[size_t(rows[size_t(i)].first)]);
      others.push_back(rows[size_t(i)].second);
    }
    const NoTapeScope off;
    const Tensor probes = protection_->apply_probe(set_.features.batch(others), records).on_host();
    check_rows(probes, protection_->out().domain, "a probe that went through the protection");
    return embedded(probes);
  });
}

std::vector<PairedFaces::Compared> PairedFaces::compared() const {
  std::vector<Compared> list;
  for (const Pair& p : pairs_.pairs) {
    const auto a = row_.find(p.a), b = row_.find(p.b);
    if (a != row_.end() && b != row_.end()) list.push_back({&p, a->second, b->second});
  }
  return list;
}

std::vector<std::pair<std::string, std::string>> PairedFaces::files() const {
  std::vector<std::pair<std::string, std::string>> list;
  for (const Compared& c : compared()) list.emplace_back(c.pair->a, c.pair->b);
  return list;
}

// Of row i of a matrix.
std::span<const float> row(const Tensor& rows, int64_t i) {
  const size_t d = size_t(rows.dim(1));
  return {rows.data<float>() + size_t(i) * d, d};
}

std::vector<ScoredPair> PairedFaces::score(const Tensor& stored) const {
  std::vector<std::pair<int64_t, int64_t>> rows;  // gallery, probe
  std::vector<ScoredPair> scores;
  for (const Compared& c : compared()) {
    rows.emplace_back(c.a, c.b);
    scores.push_back({0, c.pair->genuine, c.pair->fold});
  }
  const bool both = o_.side == "both", probe_is_stored = o_.side == "probe";
  const bool changed = stored.defined() && !both && protection_ && protection_->changes_probe();
  Tensor others;
  if (changed && !rows.empty()) {
    auto turned = rows;
    if (probe_is_stored)
      for (auto& [one, other] : turned) std::swap(one, other);
    others = counterparts(turned);
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto [a, b] = rows[i];
    if (!stored.defined())
      scores[i].score = dot(row(enrolled, a), row(raw, b));
    else if (both)
      scores[i].score = dot(row(stored, a), row(stored, b));
    else
      scores[i].score = dot(row(stored, probe_is_stored ? b : a),
                            changed ? row(others, int64_t(i)) : row(raw, probe_is_stored ? a : b));
  }
  return scores;
}

}  // namespace

VerificationScores verify_pairs(const VerificationSettings& o, const Context& context) {
  const Recogniser recogniser = Recogniser::load(o.faces.recogniser);
  PairList pairs = load_pairs(o.pairs);
  PairedFaces faces(o, recogniser, pairs, context);
  faces.embed();
  VerificationScores result;
  result.guarded = faces.guarded.defined();
  result.cut = o.faces.cut_of(recogniser);
  result.protection = faces.protection();
  result.scores = faces.score(faces.guarded);
  result.photographs = faces.photographs();
  result.files = faces.files();
  result.left_out = pairs.pairs.size() - result.scores.size();
  if (const auto angle = faces.largest_angle()) {
    result.raw = faces.score(Tensor());
    result.largest_angle = o.side == "both" ? 2 * *angle : *angle;
  }
  if (faces.adapted.defined()) result.adapted = faces.score(faces.adapted);
  return result;
}

}  // namespace advf
