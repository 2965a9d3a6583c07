// Enrolment with several photographs: one feature stands for a person, the mean of theirs.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "advface/core/feature_domain.h"
#include "advface/core/feature_rows.h"

namespace advf {

// The rows of a set by who is on them. person: of every row.
class RowsByPerson {
 public:
  explicit RowsByPerson(const std::vector<int64_t>& person);
  // That show the person of this row, itself among them, ascending; one object for all rows of a person.
  const std::vector<int64_t>& of(int64_t row) const { return rows_[of_.at(size_t(row))]; }
  // Of each person, in the order in which they come first, the first `most` rows (0: all).
  std::vector<std::vector<int64_t>> first(int64_t most) const;

 private:
  std::vector<std::vector<int64_t>> rows_;  // of each person
  std::vector<size_t> of_;                  // which person each row shows
};

// A record of row `row` of a set when its person is enrolled with `most` photographs (0: all there are): the
// row, then those before it in `mine`, the person's rows, ascending and as a ring; without those that are
// compared with it, which `takes_no_part` names. So a record of one photograph is that row's own.
std::vector<int64_t> enrolled_with(int64_t row, const std::vector<int64_t>& mine, int64_t most,
                                   const std::function<bool(int64_t)>& takes_no_part);

// Row i: the mean of the rows groups[i] of the set, none of them empty, brought into the domain: on the
// sphere the unit vector along it. Up to memory_bytes stay in memory. Throws Error that begins with
// name(group) where nothing is left that has a direction.
FeatureRows means_of(const FeatureRows& features, const std::vector<std::vector<int64_t>>& groups,
                     FeatureDomain domain, int64_t memory_bytes,
                     const std::function<std::string(int64_t group)>& name);

// Row i: the mean of the other rows of the person of rows[i], brought into the domain. What identity alone
// reveals: a defence without a key under which recognition still works cannot go below what this gives an
// attacker. Throws Error for a row whose person has no other, and for a mean without a direction.
FeatureRows means_of_others(const FeatureRows& features, const std::vector<int64_t>& rows,
                            const RowsByPerson& people, FeatureDomain domain, int64_t memory_bytes);

}  // namespace advf
