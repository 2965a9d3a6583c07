// Enrolment with several photographs: one feature stands for a person, the mean of theirs.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "advface/core/feature_domain.h"
#include "advface/core/feature_rows.h"

namespace advf {

// For each row of a set the rows that show the same person, itself among them, ascending. person: of every
// row.
template <class Person>
std::vector<std::vector<int64_t>> rows_by_person(const std::vector<Person>& person);

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

}  // namespace advf
