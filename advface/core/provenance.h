// Where a trained network comes from, and so what it may be used on: whose features it takes, cut where, from
// which domain, and whom it was trained on. Decoders, generators of noise and adapters carry it in their
// files.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "advface/core/feature_domain.h"
#include "advface/protections/protection_id.h"
#include "nn/module.h"
#include "nn/state_dict.h"

namespace advf {

struct Provenance {
  std::string cut;          // name of the recogniser's tensor
  std::string recogniser;   // fingerprint of the recogniser's model file
  ProtectionId protection;  // of the features that it was trained on
  FeatureDomain domain = FeatureDomain::real;
  uint64_t split_seed = 0;      // of the split by identity: who was trained on, and who must be tested on
  std::vector<int64_t> people;  // trained on, as person_key(), ascending; a tensor of the file
};

// Throws an Error naming both sides unless rows of this shape, from this recogniser and cut, are what a
// network for `feature` takes. An empty fingerprint or cut is not compared. `what` names the features in the
// message, `network` the network: "the decoder s.safetensors".
void check_takes(const Provenance& from, const Shape& feature, const std::string& network, const Shape& row,
                 const std::string& fingerprint, const std::string& cut, const std::string& what);
// Throws an Error naming the first of these people, who are under test, that the network was trained on.
void check_never_saw(const Provenance& from, const std::string& source,
                     const std::vector<std::string>& identities);

// A network's file: its state, the list of people, and as metadata the provenance beside `description`, which
// holds "format" and how to build the network.
void save_network(const std::string& path, const Module& network, const Provenance& from,
                  Metadata description);
struct NetworkFile {
  Metadata metadata;
  TensorMap tensors;  // the network's
  Provenance provenance;
};
// `kind` says what the file should have been: "a decoder made by advface-train".
NetworkFile load_network(const std::string& path, const std::string& format, const std::string& kind);

}  // namespace advf
