// Who links two protected sets without a key: ways to score a record of one beside a record of the other,
// from nothing but the two sets as they are stored, or from known people besides. Each sees both sets whole.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "advface/audit/unlinkability.h"
#include "advface/core/context.h"
#include "advface/core/feature_rows.h"
#include "advface/core/recogniser.h"
#include "advface/networks/train_reader.h"
#include "advface/protections/protection_id.h"

namespace advf {

// One set, as it is stored: rows of all photographs that are used, and how they were protected.
struct StoredSet {
  FeatureRows rows;
  ProtectionId protection;
};

// What a linker works on. Rows of both sets and of `raw` belong to the same photographs; the linker is asked
// about those of `asked`. Of the people on `known`, nobody of whom is asked about, it has raw and stored
// features in both sets; empty: it knows nobody.
struct LinkInput {
  const Recogniser& recogniser;
  std::string cut;
  const FeatureRows& raw;
  const StoredSet &first, &second;
  std::vector<int64_t> asked, known;
  Provenance known_from;  // of what is trained on `known`: whose features and people
  TrainSettings training;
  const Context& context;
};

struct SetLinker {
  std::string name, help;
  bool needs_known = false;
  // Why it cannot be asked about such sets, else nothing.
  std::function<std::optional<std::string>(const LinkInput&)> why_not;
  // Pairs are positions in `asked`.
  std::function<PairScore(const LinkInput&)> make;
};
// The linkers that there are, a row each:
//   none     cosine of what is stored, through the recogniser where it can take it
//   profile  minus the distance of both records' profiles: the quantiles of a record's cosines to all others
//            of its own set, which a rotation that all records share leaves as they are
//   linear   cosine of what a linear map for each set, fitted on known people, makes of it (linear_reader.h)
//   network  the same with a linkage network for each set (networks/reader.h)
const std::vector<SetLinker>& set_linkers();

// (n,k): of each row (n,D), unit vectors, k quantiles of its cosines to the others.
Tensor neighbour_profiles(const Tensor& rows);

}  // namespace advf
