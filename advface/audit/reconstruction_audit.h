// The audit of reconstruction: every attacker on raw features, on features protected at each strength, on
// noise of equal norm, and on the person's other photographs; each reconstruction scored as it is and
// moment-matched; beside them the mean face (docs/method.md defines the numbers).
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "advface/attackers/attacker.h"
#include "advface/audit/feature_sets.h"
#include "advface/audit/judge.h"
#include "advface/core/face_set.h"
#include "advface/protections/protection_chain.h"

namespace advf {

// So many features are in memory, and attacked, at once; and what the context is told that this work is.
inline constexpr int64_t kAttackedAtOnce = 64;
inline constexpr const char* kAttackWork = "attack";

struct ReconstructionSettings {
  FaceSettings faces;
  std::vector<ProtectionSpecs> protections;  // chains, each of which makes a set of features
  std::vector<std::string> attackers;        // [NAME=]FILE, or [NAME=]KIND[:SETTING=VALUE,...] of one without
  std::vector<std::string> protected_files;  // NAME=FILE: features of all images
  std::string second_recogniser;             // the card of one that the defence never saw; none
  std::string thresholds;                    // result of an earlier run; none
  std::string part = "test";                 // or validation, of the attackers' split; or all
  int64_t limit = 0;                         // of images; 0: all
  bool spread = false;                       // over people, where there is a limit
  double fmr = 1e-3;                         // false match rate at which replay thresholds are set
  uint64_t seed = 1;                         // of the noise of equal norm, and of attackers without a file
  uint64_t split_seed = 1;                   // of the split, where no attacker has a file that says it
  std::vector<std::string> kinds = {};       // of the features that are asked about; none: all
  bool leaked_key = false;                   // attackers also have what lies under a key
  std::string called = {};                   // what the one chain is called; none: by what it does
  // A photograph is enrolled together with others of its person, so many in all (0: all there are), but not
  // with the one that is its other in the judges' eyes. Not with protected_files.
  std::optional<int64_t> average = {};
  // Of n images, of which so many are attacked at a time, those [begin, end) that this run attacks and
  // judges; none: all. They are judged as in a run of all: beside all photographs.
  std::function<std::pair<int64_t, int64_t>(int64_t n, int64_t at_once)> share = {};
};
// What ReconstructionSettings::kinds may name: "raw", "protected", "noise", "identity".
const std::vector<std::string>& feature_kinds();

// What one attacker makes of one set of features.
struct ReconstructionRow {
  std::string attacker, features;
  bool matched = false;                  // brightness and contrast are those of the mean face
  std::optional<double> feature_cosine;  // mean, to the raw features, where they have the same shape
  std::string kind;                      // raw, protected, noise, identity or none
  std::optional<double> epsilon;
  std::vector<Measure> measures;  // of all judges
  std::vector<int64_t> queries;   // to the matching side, feature by feature; of who asks it
};

class ReconstructionAudit {
 public:
  // Loads the networks, lists the images and judges all that can be judged before one is read: throws Error
  // naming what does not fit. The context must outlive the audit.
  ReconstructionAudit(const ReconstructionSettings& settings, const Context& context);
  ~ReconstructionAudit();

  // Computes the features of all images, raw and protected.
  void prepare();

  // After prepare().
  const TestImages& test() const;  // all images
  const std::string& cut() const;
  const std::vector<LeftOut>& left_out() const;
  const std::vector<LockKnowledge>& locks() const;
  // Tells apart what the images and features under test come from: names, people and bytes of the
  // photographs, how faces are cut out of them and fed to the recogniser, and the rows of protected_files.
  // Reads the photographs.
  std::string input_hash() const;
  std::vector<std::pair<std::string, ProtectionId>> protections()
      const;  // of the protected features, by their name
  // The attackers, in the order of the call; as long as the audit.
  std::vector<std::pair<std::string, const Attacker*>> attackers() const;
  // take(row, the images it is about, what was made of them) for every row; the mean face comes first. Where
  // the share has none of the images: a row without measures.
  void run(
      const std::function<void(const ReconstructionRow&, const TestImages&, const Tensor& images)>& take);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace advf
