// The audit of linkage: whether whoever holds protected features finds the people behind them among raw
// photographs, with the recogniser alone and through networks that were trained for it (docs/method.md
// defines the numbers).
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "advface/audit/feature_sets.h"

namespace advf {

struct LinkageSettings {
  FaceSettings faces;
  std::vector<ProtectionSpecs> protections;  // chains, each of which makes a set of features
  std::vector<std::string> attackers;        // [NAME=]FILE: linkage networks, or adapters
  std::vector<std::string> protected_files;  // NAME=FILE: features of all images
  std::string part = "test";                 // or validation, of the split
  int64_t limit = 0;                         // of images; 0: all
  uint64_t split_seed = 1;                   // of the split, where no attacker says it
  bool leaked_key = false;                   // who links also has what lies under a key
  // So many photographs of people who are not under test are known raw and stored: a linear map for each
  // number is fitted on them (linear_reader.h), and asked about every set of protected vectors.
  std::vector<int64_t> known_pairs;
  uint64_t seed = 1;  // of which photographs are known
};

// Who is looked for among whom. Positions are rows of the feature set.
struct LinkageTask {
  std::vector<int64_t> gallery;  // a row of each person of the part, of the first photograph
  std::vector<int64_t> probes;   // rows of all other photographs
  std::vector<int64_t> own;      // of each probe: where in the gallery its person is
  std::vector<int64_t> people;   // of each probe, as a number
  int64_t distractors = 0;       // people in the gallery of whom there is no probe
};

// Of the probes of one set of features, by one attacker.
struct LinkageRow {
  std::string attacker;  // "none": the recogniser alone; kKnownPairs: the linear map of so many
  std::optional<int64_t> known_pairs;
  std::string features, kind;
  std::optional<double> epsilon;
  // Per probe: whether its person is the first, or among the first ten, of the gallery (where scores tie, the
  // probability); the share of impostor pairs below its score; whether it is accepted at `threshold`.
  std::vector<double> rank_1, rank_10, placement, accepted;
  std::vector<double> cosine;  // of what the attacker makes of a probe to the embedding of its raw feature
  double threshold = 0;        // the smallest with a false accept rate of at most kLinkageFar
  double far = 0;              // what it has
  int64_t impostor_pairs = 0;
};
inline constexpr double kLinkageFar = 1e-3;
inline constexpr const char* kKnownPairs = "known pairs";

class LinkageAudit {
 public:
  // Loads the networks, lists the images and judges all that can be judged before one is read: throws Error
  // naming what does not fit. The context must outlive the audit.
  LinkageAudit(const LinkageSettings& settings, const Context& context);
  ~LinkageAudit();

  // Computes the features of all images, and the protected ones of the probes.
  void prepare();

  // After prepare().
  const LinkageTask& task() const;
  const std::vector<TestPhotograph>& probes() const;  // of each probe of the task
  const std::string& cut() const;
  const std::vector<LeftOut>& left_out() const;
  const std::vector<LockKnowledge>& locks() const;
  std::vector<std::pair<std::string, ProtectionId>> protections() const;  // by the features' name
  // Every row; raw probes, the ceiling, come first.
  void run(const std::function<void(const LinkageRow&)>& take);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The task of these rows, which show these people (by row of the feature set). Throws Error, that begins with
// `what`, where fewer than two people have two photographs.
LinkageTask linkage_task(const std::vector<int64_t>& rows, const std::vector<int64_t>& person,
                         const std::string& what);
// gallery (G,D) and probes (P,D): unit vectors in host memory, in the order of the task.
LinkageRow score_linkage(const LinkageTask& task, const Tensor& gallery, const Tensor& probes);

}  // namespace advf
