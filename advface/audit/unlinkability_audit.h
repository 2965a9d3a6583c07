// The audit of unlinkability: two protected sets of the same people, under two keys, two seeds, or in two
// files, and who links their records without a key (docs/method.md defines the numbers).
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "advface/audit/feature_sets.h"
#include "advface/audit/set_links.h"
#include "advface/audit/unlinkability.h"

namespace advf {

struct UnlinkabilitySettings {
  FaceSettings faces;
  // A chain for each of both sets; or none: of both a file, or raw features alone.
  ProtectionSpecs first, second;
  std::vector<std::string> protected_files;  // NAME=FILE, two or none: features of all images
  std::string part = "test";                 // or validation, of the split, or all
  int64_t limit = 0;                         // of images; 0: all
  uint64_t split_seed = 1, seed = 1;         // of the split; of pairs, shuffles and networks
  double odds = 1;                           // of a mated pair, beforehand: omega of the paper
  int epochs = 12;                           // of a linkage network; 0: none is trained
};

struct UnlinkabilityRow {
  std::string linker;    // of set_linkers()
  std::string features;  // "raw", "protected, ..."
  std::string kind;      // raw, protected
  std::string pairs;     // of kMatedPairs
  Unlinkability result;
  std::vector<int64_t> people;  // of each mated pair, as a number
};

class UnlinkabilityAudit {
 public:
  // Loads what protects, lists the images and judges all that can be judged before one is read: throws Error
  // naming what does not fit. The context must outlive the audit.
  UnlinkabilityAudit(const UnlinkabilitySettings& settings, const Context& context);
  ~UnlinkabilityAudit();

  // Computes the features of all images and protects those that are used, twice.
  void prepare();

  // After prepare().
  int64_t images() const;        // under test
  int64_t people() const;        // on them
  int64_t known_images() const;  // of people whom who links knows
  const std::string& cut() const;
  const std::vector<LeftOut>& left_out() const;
  std::vector<std::pair<std::string, ProtectionId>> protections() const;  // of both sets, by their names
  // Both sets are protected alike in everything, so that they are one set beside itself.
  bool same_protection() const;
  // Every row; raw features, the ceiling, come first.
  void run(const std::function<void(const UnlinkabilityRow&)>& take);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace advf
