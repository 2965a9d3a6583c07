#include "advface/store/set_calibration.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "advface/core/dataset.h"
#include "advface/core/enrolment.h"

namespace advf {

SetProtection protection_under_lock(const Store& store, const StoredSet& set, const ProtectionFiles& files,
                                    const Recogniser* recogniser) {
  ProtectionId id = set.info.protection;
  if (id.needs_key()) id.applied.pop_back();
  check(!id.needs_key(), store.path(), ": the set ", set.name, " has protections over its lock (",
        set.info.protection.describe(), "), which a calibration cannot look under");
  ProtectionInput input = raw_input(store, set);
  input.network = recogniser;
  return {specs_of(id, files, store.path() + ": set " + set.name), input};
}

namespace {

Calibration of_means(SetProtection& under_lock, const Tensor& raw, const std::vector<int64_t>& people,
                     int64_t average, const Context& context) {
  constexpr int64_t kMemory = std::numeric_limits<int64_t>::max();  // raw features are in no file on the way
  const auto groups = RowsByPerson(people).first(average);
  const FeatureRows means = means_of(FeatureRows(raw), groups, under_lock.domain(), kMemory, [&](int64_t g) {
    return "the mean of the photographs of person " + std::to_string(g + 1);
  });
  std::vector<int64_t> numbers(people.size());
  std::iota(numbers.begin(), numbers.end(), int64_t(0));
  RecordsAndProbes of;
  of.people = people;
  of.probes = under_lock.probe(raw, numbers);
  of.part_of.assign(people.size(), -1);
  std::vector<int64_t> sizes;
  for (size_t g = 0; g < groups.size(); ++g) {
    of.owners.push_back(people[size_t(groups[g][0])]);
    sizes.push_back(int64_t(groups[g].size()));
    for (const int64_t row : groups[g]) of.part_of[size_t(row)] = int64_t(g);
  }
  numbers.resize(groups.size());
  of.stored = under_lock.protect(means.batch(0, means.count()), numbers, context);
  Calibration all = score_records(of, context.stop);
  // Where people have fewer photographs than were asked for: what half of the records are at least.
  std::ranges::nth_element(sizes, sizes.begin() + int64_t(sizes.size() / 2));
  all.mean_of = sizes[sizes.size() / 2];
  if (all.mean_of < average)
    context.tell("note: half of these people have no more than " + std::to_string(all.mean_of) +
                 " photographs, so that rates are told of records of that many, not of " +
                 std::to_string(average));
  return all;
}

}  // namespace

Calibration calibrated_by(SetProtection& under_lock, const Tensor& raw, std::span<const std::string> people,
                          int64_t average, const Context& context) {
  const int64_t n = raw.dim(0);
  check(int64_t(people.size()) == n, people.size(), " names of people for ", n, " features");
  check(n <= kMostToCalibrate, "all pairs of ", n, " features are too many; take up to ", kMostToCalibrate);
  check(n > 0, "there are no two people among 0 features");
  check(average >= 1, "records are the mean of one photograph or more, not of ", average);
  std::vector<int64_t> numbers(static_cast<size_t>(n)), keys;
  std::iota(numbers.begin(), numbers.end(), int64_t(0));
  for (const std::string& name : people) keys.push_back(person_key(name));
  Calibration all = average > 1 ? of_means(under_lock, raw, keys, average, context)
                                : score_all_pairs(under_lock.protect(raw, numbers, context),
                                                  under_lock.probe(raw, numbers), keys, context.stop);
  check(all.impostors() > 0, "there are no two people among ", n, " features");
  return all;
}

}  // namespace advf
