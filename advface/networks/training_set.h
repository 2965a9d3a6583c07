// What a network is trained on: features split by person, protected or not, with the provenance that goes
// into its file.
#pragma once
#include <string>
#include <vector>

#include "advface/core/face_set.h"
#include "advface/core/provenance.h"
#include "advface/protections/protection_chain.h"

namespace advf {

struct SplitSettings {
  uint64_t seed = 1;
  int64_t limit = 0;   // images to train on; 0: all
  int64_t people = 0;  // people to train on, of those whom the split has for it; 0: all
};

// A set to train on, split by person: whom a network is trained on goes into its file.
struct TrainingSet {
  FeatureSet set;                // of the training and the validation people
  std::vector<int64_t> records;  // row -> row of the whole set, by which a record's noise is keyed
  std::vector<int64_t> person;   // of each row, as person_key()
  Provenance provenance;         // protection: none, what their file says, or that of protect_set()
  Split split;                   // of the set's rows
  size_t test_images = 0;        // left alone
  int64_t all_rows = 0;          // of the whole set
};
// features: a file of them, one row for each line of --list; empty: they are extracted. Before that, throws
// Error where the names and labels tell that there are not the people, or not the images of one batch.
TrainingSet open_training_set(const FaceSettings& options, const std::string& features,
                              const SplitSettings& split, int64_t batch, const Recogniser& recogniser,
                              FaceSource& faces, const Context& context);
// The set's features, protected, which its provenance then says.
FeatureRows protect_set(ProtectionChain& protection, const FaceSettings& options,
                        const Recogniser& recogniser, FaceSource& faces, TrainingSet& source,
                        const Context& context);

// The features of the same pictures with left and right exchanged, row by row. Throws Error naming one that
// has none.
FeatureRows mirrored_features(const FaceSettings& options, const Recogniser& recogniser,
                              const FaceSource& faces, const TrainingSet& source, const Context& context);
// These, protected as protect_set() has protected the set, which comes before: the mirror of record r is
// record r + all_rows, so that its noise is its own.
FeatureRows protect_mirrored(ProtectionChain& protection, const FaceSettings& options,
                             const Recogniser& recogniser, FaceSource& faces, const TrainingSet& source,
                             const FeatureRows& mirrored, const Context& context);

}  // namespace advf
