// The audit of recognition: the LFW protocol on a list of pairs, with the gallery, the probe or both
// protected, as they are and behind an adapter. The first image of a pair is the gallery's, the second the
// probe's.
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "advface/audit/metrics.h"
#include "advface/core/face_set.h"
#include "advface/protections/protection_chain.h"

namespace advf {

struct VerificationSettings {
  FaceSettings faces;
  // None: nothing is protected here. With protected_file: how a probe is changed for it.
  ProtectionSpecs protection;
  std::string pairs;  // file of load_pairs()
  std::string protected_file,
      protected_list;            // protected features instead, and the files that they belong to; none
  std::string adapter;           // protected features go through it as well; none
  std::string side = "gallery";  // which is protected: gallery, probe or both
  // The gallery's photograph is enrolled together with others of its person, so many in all (0: all there
  // are), none of which is its probe in a genuine pair. Goes with the side gallery, and without files.
  std::optional<int64_t> average = {};
};

// Of the pairs whose images were read: cosines of embeddings.
struct VerificationScores {
  std::vector<ScoredPair> scores;
  std::vector<std::pair<std::string, std::string>> files;  // of each: the gallery's and the probe's
  std::optional<std::vector<ScoredPair>> adapted;          // behind the adapter, where there is one
  // Of raw features, where a side was protected and it is proved how far that turns its embedding: in radians
  // of both sides together.
  std::optional<std::vector<ScoredPair>> raw;
  double largest_angle = 0;
  bool guarded = false;    // whether a side was protected
  size_t left_out = 0;     // pairs with an image that could not be read
  double photographs = 1;  // of a record of the gallery, on average over pairs
  std::string cut;
  ProtectionId protection;  // of what is stored
};

// The file in the folder that a pair means: the protocol names .jpg files, and other sets have the same names
// with another ending. Which face of a picture is meant stays said. Throws Error where there is none.
std::string paired_file(const std::string& folder, const std::string& name);

// Throws Error, before a picture is read where that can be told, for what does not fit together.
VerificationScores verify_pairs(const VerificationSettings& settings, const Context& context);

}  // namespace advf
