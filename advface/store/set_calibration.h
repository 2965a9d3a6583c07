// How a set is calibrated: raw features of people who have nothing to do with it go the way that its own go,
// but for the lock that is its last protection, under which a cosine is what it was. So nobody needs the key
// for it.
#pragma once
#include <span>
#include <string>

#include "advface/store/calibration.h"
#include "advface/store/set_protection.h"

namespace advf {

constexpr int64_t kMostToCalibrate = 50000;  // features, of which all pairs are scored

// What the set does to a feature under its lock. files, recogniser: as SetProtection has them. Throws Error
// where there are protections over the lock.
SetProtection protection_under_lock(const Store& store, const StoredSet& set, const ProtectionFiles& files,
                                    const Recogniser* recogniser);

// Scores of these raw features (N, D), of which row i is of people[i], and when they were made; the source
// and the threshold are left to the caller. average 1: of all pairs; else of records that are the mean of the
// first so many of everybody's, with each feature that is not in them. Throws Error for fewer than two people
// and for more than kMostToCalibrate features, Interrupted where the context says so.
Calibration calibrated_by(SetProtection& under_lock, const Tensor& raw, std::span<const std::string> people,
                          int64_t average, const Context& context);

}  // namespace advf
