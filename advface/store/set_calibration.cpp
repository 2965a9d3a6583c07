#include "advface/store/set_calibration.h"

#include <numeric>

#include "advface/core/dataset.h"

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

Calibration calibrated_by(SetProtection& under_lock, const Tensor& raw, std::span<const std::string> people,
                          const Context& context) {
  const int64_t n = raw.dim(0);
  check(int64_t(people.size()) == n, people.size(), " names of people for ", n, " features");
  check(n <= kMostToCalibrate, "all pairs of ", n, " features are too many; take up to ", kMostToCalibrate);
  check(n > 0, "there are no two people among 0 features");
  std::vector<int64_t> numbers(static_cast<size_t>(n)), keys;
  std::iota(numbers.begin(), numbers.end(), int64_t(0));
  for (const std::string& name : people) keys.push_back(person_key(name));
  Calibration all = score_all_pairs(under_lock.protect(raw, numbers, context), under_lock.probe(raw, numbers),
                                    keys, context.stop);
  check(all.impostors() > 0, "there are no two people among ", n, " features");
  return all;
}

}  // namespace advf
