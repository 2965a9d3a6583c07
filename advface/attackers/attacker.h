// An attacker: who has features, raw or protected, and makes faces of them. Residents stand in registry.h, a
// row each. Most come from a file; some need none.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "advface/core/provenance.h"
#include "advface/networks/decoder.h"
#include "advface/protections/protection_chain.h"
#include "tensor/tensor.h"

namespace advf {

class Attacker {
 public:
  virtual ~Attacker() = default;

  // What it was trained on: whose features, protected how, which people.
  virtual const Provenance& provenance() const = 0;
  virtual const Shape& row() const = 0;  // of a feature that it takes
  virtual int image_size() const = 0;    // side of its images in pixels
  virtual std::string kind() const = 0;  // its row in registry.h: "decoder"
  virtual std::string name() const = 0;  // when the user gives it none: "deconv"
  // For people and results: as JSON has them, by name. Of one that was trained: how.
  virtual Metadata settings() const { return {}; }
  // Whether it shows images to the matching side, which answers with its key: then it is handed what lies
  // under that key, by which the matching side answers.
  virtual bool asks_matching_side() const { return false; }
  // (3,S,S): the mean of the faces that it was trained on, which is what an attacker knows without a feature.
  virtual Tensor mean_face() const = 0;
  // (n, row) -> (n,3,S,S) in [0,1], on the current backend. Image i depends on row i alone. An attacker that
  // works long shows how far it is, and throws Interrupted where the context says so.
  virtual Tensor attack(const Tensor& features, const Context& context) const = 0;
  // Of the last attack(), in the order of its rows: how often the matching side was asked. Empty for one that
  // asks nobody.
  virtual std::vector<int64_t> queries() const { return {}; }
};

// What an attacker that has no file may know.
struct AttackerInput {
  const Recogniser* recogniser = nullptr;  // whose features they are; outlives the attacker
  std::string cut;
  uint64_t split_seed = 1;  // of the split by person, whose training people it may have seen
  int image_size = 64;      // of the other attackers, whose images are compared with its own
  // What features went through that the recogniser does not know; outlives the attacker, who knows it too: it
  // then looks for an image whose feature gives what is stored. Null for features of the recogniser's space.
  // Nothing that needs a key is in it.
  const ProtectionChain* through = nullptr;
  // (3,size,size): the mean of faces of people who are not under test. Asked for when features come.
  std::function<Tensor(int size)> mean_face;
  // Raw features of such people, and the score at which the recogniser accepts: from then on, too.
  std::function<FeatureRows()> others;
  std::function<double()> threshold;

  FeatureSpace stored_space() const;  // of what is attacked
  // What the matching side makes of images (n,3,h,w), as the recogniser takes them: (n, row of
  // stored_space()). On a tape as well.
  Tensor probes_of(const Tensor& images) const;
  // Throws Error naming both sides unless a file's network was trained on features of this recogniser and
  // cut.
  void check_same_source(const Provenance& from, const std::string& path) const;
};
// The decoder of a file, for features of this recogniser and cut. Throws Error naming both sides.
std::shared_ptr<const Decoder> decoder_for(const std::string& path, const AttackerInput& input);

// Such an attacker as it is asked for: its settings.
class AttackerSpec {
 public:
  virtual ~AttackerSpec() = default;
  virtual std::unique_ptr<AttackerSpec> clone() const = 0;
  virtual Settings settings() = 0;       // bound to this
  virtual void check_valid() const = 0;  // throws Error naming the setting
  // Whether its settings say how large its images are, and do not leave that to the other attackers.
  virtual bool knows_size() const { return true; }
  // Whether it cannot do without people who are not under test (AttackerInput::mean_face).
  virtual bool needs_people() const { return false; }
  // Whether it is made once more for features that went through this chain (AttackerInput::through).
  virtual bool looks_through(const ProtectionChain& chain) const { return chain.changes_probe(); }
  virtual std::unique_ptr<Attacker> make(const AttackerInput& input) const = 0;
};
// For Attacker::settings(): those of a spec, with the fingerprints of the files that it names.
Metadata told_settings(AttackerSpec& spec);

}  // namespace advf
