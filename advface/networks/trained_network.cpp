#include "advface/networks/trained_network.h"

namespace advf {

void TrainedNetwork::check_fits(const Shape& row, const std::string& fingerprint, const std::string& cut,
                                const std::string& what) const {
  check_takes(provenance(), feature(), "the " + kind_ + " " + source_, row, fingerprint, cut, what);
}

void TrainedNetwork::check_never_saw(const std::vector<std::string>& identities) const {
  advf::check_never_saw(provenance(), source_, identities);
}

void TrainedNetwork::save(const std::string& path) const {
  save_network(path, *this, provenance(), description());
}

}  // namespace advf
