// The audit of attributes: what can be told of a person (glasses, age, ...) from features, raw and protected,
// without a picture of him. Probes are trained in the run on the training people, and asked about others
// (docs/method.md defines the numbers).
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "advface/audit/feature_sets.h"

namespace advf {

struct AttributeSettings {
  FaceSettings faces;                        // labels must name the attributes
  ProtectionSpecs protection;                // a chain; none: raw features, and those of files, alone
  std::vector<std::string> protected_files;  // NAME=FILE each, a row for each readable image
  std::vector<std::string> attributes;       // columns of the labels
  std::string part = "test";                 // or validation, of the split
  uint64_t split_seed = 1, seed = 1;         // of the split; of the probes' weights and the order of rows
  int epochs = 30;                           // of a probe, but 1,000 steps at least
  int width = 64;                            // of the small network's hidden layer
  // Probes are trained on nobody whom a network of the chain was trained on: an attacker has people of his
  // own, and on those that an erasure was fitted on nothing is left to learn.
  bool unseen = false;
  bool leaked_key = false;  // probes also see what lies under a key
};

// The probes that there are, a row each.
struct ProbeKind {
  std::string name;
  std::string help;
};
const std::vector<ProbeKind>& probe_kinds();

// Rows of numbers with their classes, 0 or 1.
struct ProbeData {
  Tensor inputs;             // (n, k) in host memory
  std::vector<int64_t> cls;  // of each row
};
// Trains a probe on `train` and asks it about every row of `asked` (m, k): their classes. Both classes weigh
// alike, however many rows they have. Inputs are scaled by the mean and the deviation of the training rows.
// The result depends on what is given alone, whatever the number of threads.
std::vector<int64_t> ask_probe(const std::string& kind, const ProbeData& train, const Tensor& asked,
                               const AttributeSettings& settings, const Context& context);
// (n, k) in host memory: what probes see of features. A vector as it is; of a map the mean of each channel in
// each of 4 x 4 cells.
Tensor probe_inputs(const FeatureRows& features);

// What one probe says of one attribute.
struct AttributeRow {
  std::string attribute, probe;
  std::string trained_on, asked_about;  // "raw", or the name of the protected features
  std::vector<double> correct;          // 1 or 0, of each image under test
};

class AttributeAudit {
 public:
  // Judges all that can be judged before an image is read: throws Error naming the attribute that the labels
  // lack, or that is not shown, or not missing, on two training people and two people under test. The context
  // must outlive the audit.
  AttributeAudit(const AttributeSettings& settings, const Context& context);
  ~AttributeAudit();

  // Computes the features of all images, and protects those of training people and of people under test.
  void prepare();

  // After prepare().
  const std::vector<int64_t>& people() const;                      // of each image under test, as a number
  const std::vector<TestPhotograph>& photographs() const;          // of each image under test
  std::vector<int64_t> truth(const std::string& attribute) const;  // of each image under test
  int64_t train_images() const;
  const std::string& cut() const;
  const std::vector<LeftOut>& left_out() const;
  const std::vector<std::pair<std::string, ProtectionId>>& protections() const;  // by the features' name
  void run(const std::function<void(const AttributeRow&)>& take);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace advf
