// What decoders, generators, readers and projections have in common: they were trained on somebody's
// features and people, say so in their file, and refuse others.
#pragma once
#include <string>
#include <vector>

#include "advface/core/provenance.h"
#include "nn/module.h"

namespace advf {

class TrainedNetwork : public Module {
 public:
  virtual const Provenance& provenance() const = 0;
  virtual const Shape& feature() const = 0;  // of one feature that it takes

  // As check_takes() and check_never_saw() of provenance.h have it.
  void check_fits(const Shape& row, const std::string& fingerprint, const std::string& cut,
                  const std::string& what) const;
  void check_never_saw(const std::vector<std::string>& identities) const;
  // A file of this network with its provenance; appears whole or not at all.
  void save(const std::string& path) const;

  const std::string& source() const { return source_; }  // its file, or its kind where it has none

 protected:
  // kind: "decoder", for messages.
  explicit TrainedNetwork(const std::string& kind) : kind_(kind), source_(kind) {}
  void set_source(const std::string& path) { source_ = path; }
  // "format", and how to build the network.
  virtual Metadata description() const = 0;

 private:
  std::string kind_, source_;
};

}  // namespace advf
