#include "advface/decoder.h"

#include <algorithm>
#include <cstring>

#include "advface/dataset.h"
#include "autograd/tape.h"
#include "nn/nets/net_metadata.h"
#include "nn/state_dict.h"
#include "tensor/io/safetensors.h"

namespace advf {
namespace {
constexpr const char* kPeople = "people";
}

Metadata DecoderInfo::to_metadata() const {
  Metadata m = spec.to_metadata();
  m["format"] = "advface-decoder-1";
  m["cut"] = cut;
  m["recogniser"] = recogniser;
  m["trained_on"] = trained_on;
  m["domain"] = name_of(domain);
  m["split_seed"] = std::to_string(split_seed);
  return m;
}

DecoderInfo DecoderInfo::from_metadata(const Metadata& metadata, const std::string& source) {
  const auto format = metadata.find("format");
  check(format != metadata.end() && format->second == "advface-decoder-1", source,
        ": not a decoder made by advface-train (no \"format\": \"advface-decoder-1\" in its metadata)");
  DecoderInfo info;
  info.spec = DecoderSpec::from_metadata(metadata, source);
  info.cut = metadata_text(metadata, "cut", source);
  info.recogniser = metadata_text(metadata, "recogniser", source);
  info.trained_on = metadata_text(metadata, "trained_on", source);
  info.domain = domain_from(metadata_text(metadata, "domain", source), source);
  info.split_seed = uint64_t(metadata_int(metadata, "split_seed", 0, INT64_MAX, source));
  return info;
}

Decoder::Decoder(const DecoderInfo& info, uint64_t seed) : info_(info), net_(make_decoder(info.spec, seed)) {
  const int64_t channels = info.spec.feature[0], size = info.spec.image_size;
  statistics_ = {Tensor::zeros({channels}), Tensor::full({channels}, 1), Tensor::full({3, size, size}, 0.5)};
  register_child("net", *net_);
  register_buffer("statistics.feature_mean", statistics_.feature_mean);
  register_buffer("statistics.feature_std", statistics_.feature_std);
  register_buffer("statistics.mean_face", statistics_.mean_face);
}

std::unique_ptr<Decoder> Decoder::load(const std::string& path) {
  TensorFile file = load_safetensors(path);
  DecoderInfo info = DecoderInfo::from_metadata(file.metadata, path);
  const Tensor people = file.tensors[kPeople];
  check(people.defined() && people.dtype() == DType::i64 && people.shape().rank() == 1, path,
        ": no list of the people trained on (tensor \"", kPeople, "\"); train it again");
  info.people = people.to_vector<int64_t>();
  check(std::is_sorted(info.people.begin(), info.people.end()), path, ": the list of people is not sorted");
  file.tensors.erase(kPeople);
  auto decoder = std::make_unique<Decoder>(info, 0);
  load_state_dict(*decoder, file.tensors, path);
  decoder->source_ = path;
  decoder->train(false);
  return decoder;
}

void Decoder::save(const std::string& path) {
  TensorMap tensors = state_dict(*this);
  tensors[kPeople] = Tensor::from(info_.people, {int64_t(info_.people.size())});
  save_safetensors(path, tensors, info_.to_metadata());
}

void Decoder::check_fits(const Shape& row, const std::string& fingerprint, const std::string& cut,
                         const std::string& what) const {
  check(row == info_.spec.feature, what, " has features of shape ", row, ", but the decoder ", source_,
        " takes ", info_.spec.feature);
  check(fingerprint.empty() || fingerprint == info_.recogniser, what, " comes from recogniser ", fingerprint,
        ", but the decoder ", source_, " was trained for recogniser ", info_.recogniser);
  check(cut.empty() || cut == info_.cut, what, " is cut at ", cut, ", but the decoder ", source_,
        " was trained for the cut ", info_.cut);
}

void Decoder::check_never_saw(const std::vector<std::string>& identities) const {
  for (const std::string& identity : identities)
    check(!std::binary_search(info_.people.begin(), info_.people.end(), person_key(identity)), source_,
          ": was trained on \"", identity,
          "\", who is under test; test on other people, or train with the split "
          "and the labels of the test");
}

Tensor Decoder::reconstruct(const Tensor& features, int64_t batch) {
  NoTapeScope off;
  const bool was_training = training();
  train(false);
  const int64_t n = features.dim(0), size = info_.spec.image_size;
  Tensor out = Tensor::empty({n, 3, size, size});
  for (int64_t begin = 0; begin < n; begin += batch) {
    const int64_t end = std::min(n, begin + batch);
    const Tensor images = forward(features.slice_batch(begin, end));
    Tensor target = out.slice_batch(begin, end);
    std::memcpy(target.mutable_data<float>(), images.data<float>(), images.bytes());
  }
  train(was_training);
  return out;
}

}  // namespace advf
