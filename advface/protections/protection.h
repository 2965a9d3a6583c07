// A protection: what is stored instead of a feature, and what the matching side does to a probe. Residents
// stand in registry.h, a row each; protection_chain.h puts several one behind the other.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "advface/core/context.h"
#include "advface/core/feature_domain.h"
#include "advface/core/feature_rows.h"
#include "advface/core/provenance.h"
#include "advface/core/recogniser.h"
#include "advface/core/setting.h"
#include "advface/protections/guarantee.h"
#include "advface/protections/protection_id.h"
#include "tensor/tensor.h"

namespace advf {

// Where features live: the shape of one, and which values it may have.
struct FeatureSpace {
  Shape row;
  FeatureDomain domain = FeatureDomain::real;
  // A protection has moved features to a space of its own, which the recogniser does not know, whatever shape
  // they have there.
  bool moved = false;
  bool operator==(const FeatureSpace& other) const {
    return row == other.row && domain == other.domain && moved == other.moved;
  }
};

// What a protection is made for.
struct ProtectionInput {
  FeatureSpace space;  // of the features that it is given
  // Whose they are: fingerprint, tensor, and what the card does (feeding_hash()); empty where not known.
  std::string recogniser, cut, card;
  std::string what;  // names the features in messages
  // Whose features they are; null where it is not at hand, or another protection has moved them elsewhere.
  const Recogniser* network = nullptr;
  ProtectionId before;  // how they were protected already
  // Nobody has said where the features live, and why it cannot be seen: "row 3 has norm 2, so ...".
  std::string why_domain_unknown;
  bool domain_known() const { return why_domain_unknown.empty(); }
  // What comes of it is kept, and not only measured: what must never come twice is then drawn afresh.
  bool to_keep = false;
  // How that is protected which it goes on with, or is compared with, and its name in messages; null:
  // nothing.
  const ProtectionId* beside = nullptr;
  std::string beside_what;

  // What to do where `network` is null.
  std::string why_no_network() const;
};

// What happened to one record.
struct RecordReport {
  int64_t record = 0;
  // Of what is stored minus the feature, and the cosine of both; 0 where they are not of one space.
  double noise_l2 = 0, noise_linf = 0, cosine = 0;
  // Of a protection that climbs an objective: at the random start and at the end, and at the start of each
  // step and at the end. Others have none.
  double loss_before = 0, loss_after = 0;
  std::vector<float> losses;
  double kept = 1;         // share of the noise that a bound on recognition left
  double recognition = 0;  // cosine of H(stored) to H(feature), where a bound was asked for
};

struct ProtectedRows {
  Tensor features;  // (n, row of Protection::out()) in host memory
  std::vector<RecordReport> reports;
};

// Rows [begin, end) of a set, on the current backend.
using ReadRows = std::function<Tensor(int64_t begin, int64_t end)>;

class Protection {
 public:
  virtual ~Protection() = default;

  virtual AppliedProtection applied() const = 0;
  virtual FeatureSpace out() const = 0;
  // Networks that protect know whose features they take.
  virtual std::vector<const Provenance*> networks() const { return {}; }
  // Whether these networks stand for attackers, who may have been trained on what it stores.
  virtual bool imitates_attackers() const { return false; }
  // The side in pixels of the photographs (n,3,S,S) that apply() needs; 0: none.
  virtual int photograph_size() const { return 0; }
  // What is proved of what it stores of one record (docs/theory.md); of most nothing.
  virtual Guarantee guarantee() const { return {}; }
  // Whether a record's result depends on the records that are protected with it; a call then takes two or
  // more.
  virtual bool depends_on_company() const { return false; }
  // Whether what is stored of a record is drawn by its number: records of one number then have one draw, by
  // which whoever steals them compares them.
  virtual bool draws_by_record() const { return false; }
  // Whether several threads may be in apply() at once. Plans belong to one call at a time.
  virtual bool is_shareable() const { return true; }
  // Throws Error, naming the file, where a network that protects was trained on any of these people.
  virtual void check_never_saw(const std::vector<std::string>&) const {}
  // Looks at all features once, before the first is protected, where a setting asks for that. Throws Error
  // for too few.
  virtual void look_at(int64_t /*rows*/, const ReadRows&) {}

  // Row i of `features` (n, row) is record number records[i]: its row in the whole set, as advface-extract
  // writes it. The result for a record depends on (its feature, its photograph, its number, and what
  // applied() says, and a secret seed) and on nothing else, bit for bit, however the set is cut into calls
  // and at any number of threads (on a device: as far as its libraries keep rows apart); but see
  // depends_on_company(). Throws Error, naming the record, for a feature that cannot be protected or was not;
  // Interrupted where the context says so.
  virtual ProtectedRows apply(const Tensor& features, std::span<const int64_t> records,
                              const Tensor& photographs, const Context& context) = 0;
  // Row i is a probe, a raw feature, that is to be compared with record records[i]; on the current backend,
  // and by operations of the core alone, on constants that were made before: an attacker who knows the
  // protection looks through it on a tape, also one without values (AttackerInput::through). Of one that
  // needs a key nobody but the matching side can ask this.
  virtual Tensor apply_probe(const Tensor& features, std::span<const int64_t> /*records*/) const {
    return features;
  }
  // Of one that needs a key: what was stored without it, (n, row of the features), in host memory, for who
  // has the key. Row i is record records[i].
  virtual Tensor unlock(const Tensor& stored, std::span<const int64_t> records) const;
};

// A protection as it is asked for, before a file is read: its settings, which the programs offer as options
// and files keep as values.
class ProtectionSpec {
 public:
  virtual ~ProtectionSpec() = default;
  virtual std::unique_ptr<ProtectionSpec> clone() const = 0;
  virtual Settings settings() = 0;          // bound to this
  virtual void check_valid() const = 0;     // throws Error naming the setting that is out of range
  virtual void check_complete() const {}    // throws Error naming the option without which it cannot be made
  virtual void check_stated() const {}      // of values from a file: throws Error naming what they do not say
  virtual std::string summary() const = 0;  // for people: "epsilon 0.02, norm l2"
  // The settings as files have them, with what follows from others written out.
  virtual Metadata values() const { return values_of(const_cast<ProtectionSpec*>(this)->settings()); }
  // Where the features end up, as far as the values say it.
  virtual FeatureSpace out(const FeatureSpace& in) const { return in; }
  // For what is kept beside its description: what is random about it is to come of numbers that stand
  // nowhere, where it need not come again.
  virtual void keep_secrets() {}
  // Why it must stand alone, where the settings ask for something that holds for a chain of one only.
  virtual std::string alone_because() const { return ""; }
  // Why these settings protect nothing, where what is stored is the feature itself, as far as a number of 32
  // bits has it: "epsilon 0". Such a thing is no protection that an audit could measure.
  virtual std::string idle_because() const { return ""; }
  // The same of features in this space, where it depends on that: each becomes what anybody undoes who knows
  // the settings, though it is another number.
  virtual std::string idle_in(const FeatureSpace& /*in*/) const { return ""; }
  // Who undoes it without having to learn anything, as it is drawn of a number that others may know: a whole
  // clause. Empty: nobody is known who does.
  virtual std::string undone_by() const { return ""; }
  // Whether a probe must go through Protection::apply_probe() before it is compared with what is stored.
  virtual bool changes_probe() const { return false; }
  // Whether every record ends up in a space of its own: then two stored ones say nothing to each other, and
  // only a probe that went through apply_probe() for a record can be compared with it.
  virtual bool separates_records() const { return false; }
  // Whether it cannot be looked through, or undone, without a key.
  virtual bool needs_key() const { return false; }
  // Of one that does: the settings and files that say which key it was, and for which set.
  virtual std::vector<std::string> names_of_key() const { return {}; }
  // Loads what it needs. Throws Error, naming both sides, for what does not fit; WrongCall where a recogniser
  // is needed and none is there.
  virtual std::unique_ptr<Protection> make(const ProtectionInput& input) const = 0;
};
// For alone_because().
inline constexpr const char* kBoundIsToRaw = "the bound on recognition is to the raw feature";
// For idle_because(). Noise that is so short beside the feature is lost in the rounding of what is stored.
inline constexpr double kLostInRounding = 1e-6;
std::string idle_by_noise(const std::string& setting, double length);
std::string idle_by_bound(const std::optional<double>& keep_recognition);

using ProtectionSpecs = std::vector<std::shared_ptr<const ProtectionSpec>>;

// The same with one setting changed, where it has that; null where not.
std::shared_ptr<const ProtectionSpec> with_setting(const ProtectionSpec& spec, const std::string& name,
                                                   const std::string& text);

// For the residents.
// Of a network's file, as it stands in AppliedProtection::networks.
std::string file_fingerprint(const std::string& path);
// Throws Error naming the record for a feature that is not finite or lies outside its domain.
void check_records(const Tensor& features, std::span<const int64_t> records, FeatureDomain domain);
// What moved row i of both, of one shape and in host memory.
RecordReport report_of(int64_t record, std::span<const float> feature, std::span<const float> stored);
// Of a protection that must know where features live: throws WrongCall where nobody has said so.
void check_domain_known(const ProtectionInput& input, const std::string& protection);
// Of a protection of maps: throws Error for vectors.
void check_takes_maps(const Shape& row, const std::string& protection, const std::string& what);
// Fills what is stored of one record, of the feature's shape.
using FillRecord =
    std::function<void(int64_t record, std::span<const float> feature, std::span<float> stored)>;
// Each row by itself, in host memory. Throws Error, naming the record, for a feature that does not live in
// `space`, and Interrupted where the context, if there is one, says so.
Tensor each_row(const Tensor& features, std::span<const int64_t> records, const FeatureSpace& space,
                const Context* context, const FillRecord& fill);
// The same with reports, for what stays where it lives. Throws Error for a record that has not changed, with
// what to do.
ProtectedRows protect_each(const Tensor& features, std::span<const int64_t> records,
                           const FeatureSpace& space, const Context& context, const std::string& advice,
                           const FillRecord& fill);
// Noise that is nothing protects nothing. Throws Error naming the record, with what to do.
void check_moved(const RecordReport& report, std::span<const float> feature, const std::string& advice);

}  // namespace advf
