#include "advface/core/provenance.h"

#include <algorithm>

#include "advface/core/dataset.h"
#include "nn/nets/net_metadata.h"
#include "tensor/io/safetensors.h"

namespace advf {
namespace {
constexpr const char* kPeople = "people";
constexpr const char* kProtection = "protection";

// Files of older versions have a text for people instead.
ProtectionId protection_of(const Metadata& metadata, const std::string& path) {
  if (const auto found = metadata.find(kProtection); found != metadata.end())
    return ProtectionId::from_json(found->second, path);
  const std::string& text = metadata_text(metadata, "trained_on", path);
  if (text == "raw") return {};
  return {{},
          path + " is of an older version, which wrote no more than that it was trained on \"" + text + "\""};
}
}  // namespace

void check_takes(const Provenance& from, const Shape& feature, const std::string& network, const Shape& row,
                 const std::string& fingerprint, const std::string& cut, const std::string& what) {
  check(row == feature, what, " has features of shape ", row, ", but ", network, " takes ", feature);
  check(fingerprint.empty() || fingerprint == from.recogniser, what, " comes from recogniser ", fingerprint,
        ", but ", network, " was trained for recogniser ", from.recogniser);
  check(cut.empty() || cut == from.cut, what, " is cut at ", cut, ", but ", network,
        " was trained for the cut ", from.cut);
}

void check_never_saw(const Provenance& from, const std::string& source,
                     const std::vector<std::string>& identities) {
  for (const std::string& identity : identities)
    check(!std::binary_search(from.people.begin(), from.people.end(), person_key(identity)), source,
          ": was trained on \"", identity,
          "\", who is under test; test on other people, or train with the split "
          "and the labels of the test");
}

void save_network(const std::string& path, const Module& network, const Provenance& from,
                  Metadata description) {
  description["cut"] = from.cut;
  description["recogniser"] = from.recogniser;
  description[kProtection] = from.protection.to_json();
  description["domain"] = name_of(from.domain);
  description["split_seed"] = std::to_string(from.split_seed);
  TensorMap tensors = state_dict(network);
  tensors[kPeople] = Tensor::from(from.people, {int64_t(from.people.size())});
  save_safetensors(path, tensors, description);
}

NetworkFile load_network(const std::string& path, const std::string& format, const std::string& kind) {
  TensorFile file = load_safetensors(path);
  const auto found = file.metadata.find("format");
  check(found != file.metadata.end() && found->second == format, path, ": not ", kind, " (no \"format\": \"",
        format, "\" in its metadata)");
  Provenance from;
  from.cut = metadata_text(file.metadata, "cut", path);
  from.recogniser = metadata_text(file.metadata, "recogniser", path);
  from.protection = protection_of(file.metadata, path);
  from.domain = domain_from(metadata_text(file.metadata, "domain", path), path);
  from.split_seed = uint64_t(metadata_int(file.metadata, "split_seed", 0, INT64_MAX, path));
  const Tensor people = file.tensors[kPeople];
  check(people.defined() && people.dtype() == DType::i64 && people.shape().rank() == 1, path,
        ": no list of the people trained on (tensor \"", kPeople, "\"); train it again");
  from.people = people.to_vector<int64_t>();
  check(std::is_sorted(from.people.begin(), from.people.end()), path, ": the list of people is not sorted");
  file.tensors.erase(kPeople);
  return {std::move(file.metadata), std::move(file.tensors), std::move(from)};
}

}  // namespace advf
