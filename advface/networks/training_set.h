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
  int64_t limit = 0;  // images to train on; 0: all
};

// A set to train on, split by person: whom a network is trained on goes into its file.
struct TrainingSet {
  FeatureSet set;                // of the training and the validation people
  std::vector<int64_t> records;  // row -> row of the whole set, by which a record's noise is keyed
  std::vector<int64_t> person;   // of each row, as person_key()
  Provenance provenance;         // protection: none, what their file says, or that of protect_set()
  Split split;                   // of the set's rows
  size_t test_images = 0;        // left alone
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

}  // namespace advf
