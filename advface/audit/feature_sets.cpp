#include "advface/audit/feature_sets.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "advface/audit/metrics.h"
#include "advface/core/dataset.h"
#include "advface/core/feature_file.h"
#include "advface/core/text_file.h"
#include "advface/protections/registry.h"

namespace advf {
namespace {

constexpr int64_t kBlock = 64;  // features in memory at once
constexpr const char *kProtected = "protected, ", *kKeyLeaked = ", key leaked";

// Of features that were protected once, by something that has one.
std::optional<double> epsilon_of(const ProtectionId& protection) {
  if (!protection.known() || protection.applied.size() != 1) return {};
  const Metadata& settings = protection.applied[0].settings;
  const auto found = settings.find("epsilon");
  if (found == settings.end()) return {};
  return nlohmann::json::parse(found->second).get<double>();
}

}  // namespace

std::vector<int64_t> limited(std::vector<int64_t> rows, const std::vector<int64_t>& person, int64_t limit,
                             bool spread) {
  if (limit <= 0 || limit >= int64_t(rows.size())) return rows;
  if (spread) {
    std::map<int64_t, int64_t> seen;
    std::vector<std::pair<int64_t, int64_t>> order;  // which photograph of its person, and the row
    for (const int64_t row : rows) order.emplace_back(seen[person[size_t(row)]]++, row);
    std::stable_sort(order.begin(), order.end());
    for (size_t i = 0; i < rows.size(); ++i) rows[i] = order[i].second;
  }
  rows.resize(size_t(limit));
  std::sort(rows.begin(), rows.end());
  return rows;
}

std::vector<TestPhotograph> test_photographs(const FaceSettings& faces, const std::vector<std::string>& files,
                                             const std::vector<int64_t>& rows) {
  std::vector<std::string> theirs;
  for (const int64_t r : rows) theirs.push_back(files[size_t(r)]);
  const Labels labels = faces.labels_of(theirs);
  std::vector<TestPhotograph> list;
  for (size_t i = 0; i < rows.size(); ++i) list.push_back({labels.files[i], labels.identities[i]});
  return list;
}

TestRows rows_under_test(const FaceSettings& faces, const std::string& part, int64_t limit,
                         const std::vector<std::string>& files, uint64_t split_seed, bool spread) {
  const Labels labels = faces.labels_of(files);
  TestRows test;
  std::map<std::string, int64_t> numbers;
  for (const std::string& name : labels.identities)
    test.person.push_back(numbers.try_emplace(single_spaced(name), int64_t(numbers.size())).first->second);
  if (part == "all") {
    test.rows.resize(files.size());
    std::iota(test.rows.begin(), test.rows.end(), int64_t(0));
  } else {
    const Split split = split_by_identity(labels, split_seed);
    const bool validation = part == "validation";
    const std::vector<int64_t>& rest = validation ? split.test : split.validation;
    test.rows = validation ? split.validation : split.test;
    test.others = split.train;
    test.others.insert(test.others.end(), rest.begin(), rest.end());
  }
  test.rows = limited(std::move(test.rows), test.person, limit, spread);
  check(!test.rows.empty(), faces.images, ": there is no image to test on",
        part == "all" ? "" : "; use more people, or another --split");
  for (int64_t r : test.rows) test.identities.push_back(labels.identities[size_t(r)]);
  const auto first = test.person[size_t(test.rows[0])];
  check(std::any_of(test.rows.begin(), test.rows.end(),
                    [&](int64_t r) { return test.person[size_t(r)] != first; }),
        faces.images, ": all ", test.rows.size(),
        " images to test on show one person, but an interval needs two or more");
  return test;
}

double mean_cosine(const FeatureRows& a, const FeatureRows& b) {
  double sum = 0;
  for (int64_t begin = 0; begin < a.count(); begin += kBlock) {
    const int64_t end = std::min(a.count(), begin + kBlock);
    const Shape flat{end - begin, a.row().numel()};
    for (double c : cosine_rows(a.range(begin, end).view(flat), b.range(begin, end).view(flat))) sum += c;
  }
  return sum / double(a.count());
}

bool features_moved(const ProtectionId& protection) { return space_after(protection, {}).moved; }

NamedFeatures protected_set(const std::string& name, const FeatureRows& rows, const FeatureRows& raw,
                            const ProtectionId& protection) {
  NamedFeatures set{std::string(kProtected) + name, rows,      {}, "protected",
                    epsilon_of(protection),         protection};
  if (!features_moved(protection)) set.cosine = mean_cosine(rows, raw);
  return set;
}

std::vector<ProtectedSet> open_protected_sets(const std::vector<std::string>& texts,
                                              const FaceSettings& settings, const FaceSource& faces,
                                              const Recogniser& recogniser, const std::string& cut) {
  std::vector<ProtectedSet> list;
  for (const std::string& text : texts) {
    const size_t split = text.find('=');
    ProtectedSet given{text.substr(0, split), text.substr(split + 1), {}, {}};
    FeatureFile file = open_feature_file(given.file);
    check_comes_from(file.info, given.file, recogniser.fingerprint(), cut, settings.recogniser);
    given.protection = file.info.protection;
    check(!given.protection.is_raw(), given.file, ": its features are raw; --protected takes protected ones");
    given.rows = std::move(file.rows);
    const FeatureSpace space =
        space_after(given.protection, {recogniser.feature_shape(cut), recogniser.domain(cut)});
    const double share = settings.max_broken + (settings.detection.used() ? settings.max_rejected : 0);
    const int64_t broken = int64_t(std::min(1.0, share) * double(faces.size()));  // may have no row
    check(given.rows.row() == space.row && given.rows.count() <= faces.size() &&
              given.rows.count() >= faces.size() - broken,
          given.file, " has shape ", given.rows.shape(), ", but ", settings.images, " has ", faces.size(),
          " images with features of ", space.row);
    for (const ProtectedSet& other : list)
      check(other.name != given.name, "--protected names ", given.name, " twice");
    check_rows(given.rows, space.domain, given.file);
    list.push_back(std::move(given));
  }
  return list;
}

void check_has_rows(const ProtectedSet& set, int64_t images) {
  check(set.rows.count() == images, set.file, " has ", set.rows.count(), " rows, but ", images,
        " images could be read");
}

void add_set(std::vector<NamedFeatures>& sets, NamedFeatures features) {
  for (const NamedFeatures& other : sets)
    check(other.name != features.name, "two sets of features are called \"", features.name,
          "\"; give --protected other names, or settings that differ more");
  sets.push_back(std::move(features));
}

std::vector<NamedFeatures> guarded_sets(std::vector<ProtectionChain>& chains,
                                        const std::vector<ProtectedSet>& given, const RowsToGuard& guard,
                                        const FaceSettings& settings, const Recogniser& recogniser,
                                        FaceSource& faces, const Context& context) {
  std::vector<NamedFeatures> sets;
  std::vector<int64_t> images;
  for (int64_t r : guard.rows) images.push_back(guard.set.indices[size_t(r)]);
  for (ProtectionChain& chain : chains) {
    const auto photographs =
        photographs_of(faces, images, settings.face_cut(recogniser), chain.photograph_size());
    const FeatureRows rows =
        protected_rows(chain, guard.raw, guard.rows, photographs, settings.memory_mib << 20, context);
    const std::string name = guard.called.empty() ? chain.id().summary() : guard.called;
    NamedFeatures set = protected_set(name, rows, guard.raw, chain.id());
    if (chain.needs_key())
      set.unlocked = chain.unlocked(rows, guard.rows, settings.memory_mib << 20, context);
    add_set(sets, set);
    if (!guard.leaked_key) continue;
    NamedFeatures open = protected_set(name + kKeyLeaked, *set.unlocked, guard.raw, chain.id().without_key());
    add_set(sets, std::move(open));
  }
  for (const ProtectedSet& g : given) {
    check_has_rows(g, guard.set.features.count());
    add_set(sets, protected_set(g.name, g.rows.selected(guard.rows), guard.raw, g.protection));
  }
  return sets;
}

void check_leaks_key(const ProtectionSpecs& chain) {
  const auto needs = [](const auto& spec) { return spec->needs_key(); };
  if (std::none_of(chain.begin(), chain.end(), needs))
    throw WrongCall("--leaked-key is for a protection that needs a key: --protect rotation");
  if (!needs(chain.back()) || std::count_if(chain.begin(), chain.end(), needs) > 1)
    throw WrongCall(
        "--leaked-key: what needs the key must be the last --protect, and the only one that does");
}

std::vector<std::pair<std::string, ProtectionId>> protections_of(const std::vector<NamedFeatures>& sets) {
  std::vector<std::pair<std::string, ProtectionId>> list;
  for (const NamedFeatures& features : sets)
    if (features.kind == "protected") list.emplace_back(features.name, features.protection);
  return list;
}

void add_meeting(std::vector<Meeting>& list, const Meeting& attacker) {
  if (!list.empty())
    check(list[0].from->split_seed == attacker.from->split_seed, attacker.file,
          ": trained with --split-seed ", attacker.from->split_seed, ", the first attacker with ",
          list[0].from->split_seed, "; their test people differ");
  for (const Meeting& other : list)
    check(other.name != attacker.name, "two attackers are called ", attacker.name,
          "; give them names: --attacker NAME=", attacker.file);
  list.push_back(attacker);
}

std::vector<NamedProvenance> networks_of(const std::vector<ProtectionChain>& chains) {
  std::vector<NamedProvenance> list;
  for (const ProtectionChain& chain : chains)
    for (const Provenance* network : chain.networks())
      list.push_back({"a network of what is " + chain.id().describe(), network});
  return list;
}

void tell_of_other_names(const std::vector<NamedProvenance>& networks, const std::vector<std::string>& names,
                         const Context& context) {
  std::set<int64_t> known;
  for (const std::string& name : names) known.insert(person_key(name));
  for (const auto& [name, from] : networks) {
    const std::vector<int64_t>& people = from->people;
    if (people.empty() ||
        std::any_of(people.begin(), people.end(), [&](int64_t p) { return known.contains(p); }))
      continue;
    context.tell(name + ": was trained on people of other names (0 of " + std::to_string(people.size()) +
                 " known here): whether they are the same cannot be told");
  }
}

NamedFeatures foreseen_raw(const Shape& row) {
  return {"raw", Tensor::zeros(with_rows(1, row)), 1, "raw", {}, {}};
}

std::vector<NamedFeatures> foreseen_guarded(const std::vector<ProtectionChain>& chains,
                                            const std::vector<ProtectedSet>& given, bool leaked_key,
                                            const std::string& called) {
  std::vector<NamedFeatures> list;
  const auto add = [&](const std::string& name, const Shape& row, const ProtectionId& protection) {
    NamedFeatures set = foreseen_raw(row);
    set.name = kProtected + name;
    set.kind = "protected";
    set.protection = protection;
    list.push_back(std::move(set));
  };
  for (const ProtectionChain& chain : chains) {
    const std::string chosen = called.empty() ? chain.id().summary() : called;
    add(chosen, chain.out().row, chain.id());
    if (leaked_key && chain.needs_key()) add(chosen + kKeyLeaked, chain.out().row, chain.id().without_key());
  }
  for (const ProtectedSet& g : given) add(g.name, g.rows.row(), g.protection);
  return list;
}

namespace {

// Why an attacker meets none of these sets; nothing where it meets one. Of protected features, which it is
// there for, where there are some.
std::optional<std::string> reasons_for_none(const Meeting& attacker, const std::vector<NamedFeatures>& sets) {
  std::string all, guarded;
  for (const NamedFeatures& features : sets) {
    const auto why = reason_left_out(attacker, features);
    if (!why) return {};
    const std::string text = "; not \"" + features.name + "\": " + *why;
    (features.kind == "protected" ? guarded : all) += text;
  }
  return guarded.empty() ? all.substr(0, all.find("; not", 1)) : guarded;
}

}  // namespace

void check_somebody_meets(const std::vector<Meeting>& attackers, const std::vector<NamedFeatures>& sets) {
  std::string all;
  for (const Meeting& attacker : attackers) {
    const auto reasons = reasons_for_none(attacker, sets);
    if (!reasons) return;
    all += (all.empty() ? "" : "; ") + attacker.name + " meets none of the features" + *reasons;
  }
  if (!attackers.empty()) fail(all);
}

std::optional<std::string> reason_left_out(const Meeting& attacker, const NamedFeatures& features) {
  const ProtectionId seen = features.protection.without_key();
  for (const Meeting& other : attacker.also)
    if (other.from->protection.is_like(seen)) return reason_left_out(other, features);
  if (attacker.asks && features.protection.needs_key() && !features.unlocked)
    return "it asks the matching side, whose key is not here; protect here, with --protect and --key";
  if (attacker.row != features.rows.row())
    return "it takes features of shape " + attacker.row.str() + ", not " + features.rows.row().str();
  const ProtectionId& trained_on = attacker.from->protection;
  if (features_moved(seen) && !features_moved(trained_on))
    return "it takes features as the recogniser makes them, but these are in a space of their own";
  if (!trained_on.known() || trained_on.is_raw()) return {};
  if (features.kind != "protected") return "it was trained on features that are " + trained_on.describe();
  if (trained_on.is_like_but_for_key(features.protection) || trained_on.is_like(seen)) return {};
  return "it was trained on others: " + trained_on.difference(features.protection);
}

std::vector<LeftOut> pairs_left_out(const std::vector<Meeting>& attackers,
                                    const std::vector<NamedFeatures>& sets, const Context& context) {
  std::vector<LeftOut> list;
  for (const Meeting& attacker : attackers) {
    if (const std::string& why = attacker.from->protection.unknown; !why.empty())
      context.tell(attacker.name + ": " + why + "; it meets all features");
    size_t met = 0;
    std::string reasons;
    for (const NamedFeatures& features : sets) {
      const auto why = reason_left_out(attacker, features);
      met += !why;
      if (!why) continue;
      list.push_back({attacker.name, features.name, *why});
      if (features.kind == "protected") reasons += "; not \"" + features.name + "\": " + *why;
    }
    if (met == 0) reasons = *reasons_for_none(attacker, sets);
    if (met < sets.size())
      context.tell(attacker.name + " meets " + std::to_string(met) + " of " + std::to_string(sets.size()) +
                   " sets of features" + reasons);
  }
  return list;
}

std::vector<LockKnowledge> lock_knowledge(const std::vector<Meeting>& attackers,
                                          const std::vector<NamedFeatures>& sets, const Context& context) {
  std::vector<LockKnowledge> list;
  for (const Meeting& attacker : attackers)
    for (const NamedFeatures& features : sets) {
      if (!features.protection.needs_key() || reason_left_out(attacker, features)) continue;
      const ProtectionId& trained_on = attacker.from->protection;
      const bool pairs = trained_on.needs_key(), here = trained_on.is_like(features.protection);
      list.push_back({attacker.name, features.name,
                      here    ? "this set"
                      : pairs ? "another key or set"
                              : "none"});
      if (pairs)
        context.tell(attacker.name + ", \"" + features.name +
                     "\": was trained on pairs of raw and stored features " +
                     (here ? "of this very set, as who knows other people in it"
                           : "under another key or of another set, and of this one knows nothing"));
    }
  return list;
}

}  // namespace advf
