// Everything that is asked of a store, for tests of files that somebody has damaged: an answer to each, or an
// Error.
#pragma once
#include <string>
#include <vector>

#include "advface/store/calibration.h"
#include "advface/store/set_scan.h"
#include "advface/store/store.h"

namespace advf::test {

// The sets whose rows are as long as `probe` are searched for it as well; where the store can be written,
// somebody of each is removed.
inline void ask_everything(Store& store, const Tensor& probe, bool write) {
  for (const StoredSet& set : store.sets()) {
    const std::vector<StoredRecord> records = store.records(set, 0, 100);
    for (const StoredRecord& r : records) store.find(set, r.subject);
    for (int64_t from = 0;;) {
      const auto some = store.records(set, from, 7);
      if (some.empty()) break;
      from = some.back().number + 1;
    }
    Calibration::read(store, set);
    if (set.dimension == probe.dim(1)) nearest_in_set(store, set, probe, 3);
    if (write && !records.empty()) store.remove(set.name, std::vector<std::string>{records[0].subject});
  }
  for (int64_t from = 1;;) {
    const auto some = store.events(from, 3);
    if (some.empty()) break;
    from = some.back().number + 1;
  }
  store.problems();
}

}  // namespace advf::test
