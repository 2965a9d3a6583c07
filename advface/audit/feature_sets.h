// What audits ask about: the rows under test, by person, and the sets of features of them, raw, protected
// here or from a file; and who meets which of these sets. One trained on protected features meets those that
// were protected alike, and nobody is tested on people he was trained on.
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "advface/core/face_set.h"
#include "advface/core/provenance.h"
#include "advface/protections/protection_chain.h"

namespace advf {

struct TestImages;

// The images under test: rows of the feature set, with the people on them.
struct TestRows {
  std::vector<int64_t> rows, others;    // others: the rows that are not under test
  std::vector<int64_t> person;          // of every row of the feature set
  std::vector<std::string> identities;  // of those under test, as the labels call them
};
// Those of the split's `part` (test, validation, or all) among these files; at most the first `limit`, 0:
// all. spread: a photograph of each person comes before a second one of anybody. Throws Error where there are
// not two people to test on.
TestRows rows_under_test(const FaceSettings& faces, const std::string& part, int64_t limit,
                         const std::vector<std::string>& files, uint64_t split_seed, bool spread = false);
// The first `limit` of these rows, ascending; spread as above. person: of every row that there is.
std::vector<int64_t> limited(std::vector<int64_t> rows, const std::vector<int64_t>& person, int64_t limit,
                             bool spread);

// A photograph under test, for scores of single ones.
struct TestPhotograph {
  std::string file, person;  // as the labels call him
};
// Of these rows of a set of these files.
std::vector<TestPhotograph> test_photographs(const FaceSettings& faces, const std::vector<std::string>& files,
                                             const std::vector<int64_t>& rows);

struct NamedFeatures {
  std::string name;  // "raw", "protected, epsilon 0.02", "noise, epsilon 0.02"
  FeatureRows rows;
  std::optional<double> cosine = 1;   // mean, to the raw features, where they have the same shape
  std::string kind = "raw";           // "none" beside it: an attacker without a feature
  std::optional<double> epsilon;      // where it was protected here
  ProtectionId protection;            // of kind protected
  const TestImages* about = nullptr;  // whose they are, where not all under test have one
  // What lies under a key, which the matching side has: it answers by that.
  std::optional<FeatureRows> unlocked = {};
};
// "protected, " + name.
NamedFeatures protected_set(const std::string& name, const FeatureRows& rows, const FeatureRows& raw,
                            const ProtectionId& protection);
double mean_cosine(const FeatureRows& a, const FeatureRows& b);
// A protection has moved them to a space of their own.
bool features_moved(const ProtectionId& protection);

// A file of protected features of all images.
struct ProtectedSet {
  std::string name, file;
  FeatureRows rows;
  ProtectionId protection;
};
// NAME=FILE each, as far as they can be judged before the features of the images are there. Throws Error
// naming the file that does not fit.
std::vector<ProtectedSet> open_protected_sets(const std::vector<std::string>& texts,
                                              const FaceSettings& settings, const FaceSource& faces,
                                              const Recogniser& recogniser, const std::string& cut);
// Throws Error where not every image has a row.
void check_has_rows(const ProtectedSet& set, int64_t images);

// Adds one. Throws Error where another has its name.
void add_set(std::vector<NamedFeatures>& sets, NamedFeatures features);
// The features of these rows of a set, as each chain and each file protects them. raw: of these rows.
struct RowsToGuard {
  const FeatureSet& set;
  const std::vector<int64_t>& rows;
  const FeatureRows& raw;
  bool leaked_key = false;  // and, of a chain that needs a key, what lies under it: for who has it
  std::string called = {};  // what messages call the chain, where there is one; none: by what it does
};
std::vector<NamedFeatures> guarded_sets(std::vector<ProtectionChain>& chains,
                                        const std::vector<ProtectedSet>& given, const RowsToGuard& guard,
                                        const FaceSettings& settings, const Recogniser& recogniser,
                                        FaceSource& faces, const Context& context);
// Throws WrongCall where a key is to have leaked, but the chain has none, or others lie over what needs it.
void check_leaks_key(const ProtectionSpecs& chain);
// Those of protected features, by their name.
std::vector<std::pair<std::string, ProtectionId>> protections_of(const std::vector<NamedFeatures>& sets);

// An attacker, as far as it matters whom it meets.
struct Meeting {
  std::string name, file;
  const Provenance* from = nullptr;
  Shape row;  // of a feature that it takes
  // The same attacker made for features of a protection's own space, where it needs no training for that.
  std::vector<Meeting> also = {};
  bool asks = false;  // the matching side, which has the key
};
// Adds one. Throws Error where another has its name, or was trained with another split.
void add_meeting(std::vector<Meeting>& list, const Meeting& attacker);

// A network by what messages call it.
struct NamedProvenance {
  std::string name;
  const Provenance* from = nullptr;
};
std::vector<NamedProvenance> networks_of(const std::vector<ProtectionChain>& chains);
// Tells of each network that was trained on people of whom none has a name that is known here: people are
// compared by name, so that nobody can tell whether it has seen them.
void tell_of_other_names(const std::vector<NamedProvenance>& networks, const std::vector<std::string>& names,
                         const Context& context);

// Sets as they can be judged before features are there: of one row, which nobody looks at.
NamedFeatures foreseen_raw(const Shape& row);
std::vector<NamedFeatures> foreseen_guarded(const std::vector<ProtectionChain>& chains,
                                            const std::vector<ProtectedSet>& given, bool leaked_key,
                                            const std::string& called = {});
// Throws Error with the reasons where no attacker meets any of these sets.
void check_somebody_meets(const std::vector<Meeting>& attackers, const std::vector<NamedFeatures>& sets);

// A pair that has no row.
struct LeftOut {
  std::string attacker, features, reason;
};
// Why an attacker does not meet these features; nothing where it does. One trained on raw features, or on
// features of which nothing is known, meets all of its shape. Nobody knows a key: what needs one is to him as
// what lies under it, and he fails or does not; and one trained behind a lock meets all that is locked
// alike, under whatever key.
std::optional<std::string> reason_left_out(const Meeting& attacker, const NamedFeatures& features);
// Every pair that is left out, with its reason; and told, an attacker a line.
std::vector<LeftOut> pairs_left_out(const std::vector<Meeting>& attackers,
                                    const std::vector<NamedFeatures>& sets, const Context& context);

// What an attacker knows of a lock that it meets, of which nobody has the key: pairs of raw and stored
// features under the key and in the set that it meets, or under others, or none.
struct LockKnowledge {
  std::string attacker, features;
  std::string pairs_of;  // "this set", "another key or set", "none"
};
// Of every attacker and every set that needs a key, where they meet; and told, where there are pairs.
std::vector<LockKnowledge> lock_knowledge(const std::vector<Meeting>& attackers,
                                          const std::vector<NamedFeatures>& sets, const Context& context);

}  // namespace advf
