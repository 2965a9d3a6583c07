#include "nn/state_dict.h"

#include <algorithm>
#include <set>

#include "tensor/backend.h"
#include "tensor/hash.h"
#include "tensor/io/safetensors.h"

namespace advf {
namespace {

bool is_float(DType t) { return t == DType::f32 || t == DType::f64; }

// A copy: what is loaded must not share bytes with the caller's tensors, as steps write in place.
Tensor converted(const Tensor& value, DType dtype) {
  const Tensor host = value.to(dtype);
  if (MetaScope::active()) return Tensor::meta(host.shape(), dtype);
  std::vector<std::byte> bytes(host.bytes());
  if (!bytes.empty()) host.backend().copy_out(bytes.data(), host.raw(), bytes.size());
  return Tensor::from_bytes(bytes, host.shape(), dtype);
}

}  // namespace

void check_finite(const std::string& name, const Tensor& tensor, const std::string& source) {
  if (!tensor.has_storage()) return;
  const int64_t bad = count_not_finite(tensor);
  check(bad == 0, source, ": ", bad, " of ", tensor.numel(), " values of the tensor ", name,
        " are not finite; the file is damaged, or its training diverged: train again");
  if (!name.ends_with("running_var")) return;
  const auto values = tensor.on_host().to(DType::f64).to_vector<double>();
  check(std::all_of(values.begin(), values.end(), [](double v) { return v >= 0; }), source, ": the tensor ",
        name, " holds variances that are negative; the file is damaged: train again");
}

TensorMap to_map(const std::vector<Named>& targets) {
  TensorMap out;
  for (const Named& n : targets) {
    const bool fresh = out.emplace(n.name, *n.tensor).second;
    check(fresh, "two tensors are named ", n.name);
  }
  return out;
}

TensorMap state_dict(const Module& module) {
  TensorMap map;
  for (const auto& [name, tensor] : module.values()) map[name] = tensor;
  return map;
}

std::string weights_hash(const Module& module) {
  uint64_t h = kFnvStart;
  for (const auto& [name, tensor] : state_dict(module)) {
    std::vector<std::byte> bytes(tensor.bytes());
    if (!bytes.empty()) tensor.backend().copy_out(bytes.data(), tensor.raw(), bytes.size());
    h = fnv1a(bytes, fnv1a(name, h));
  }
  return hex(h);
}

void load_named(const std::vector<Named>& targets, const TensorMap& tensors, const std::string& source) {
  std::string missing, unexpected, misfit;
  std::set<std::string> known;
  for (const Named& n : targets) {
    known.insert(n.name);
    const auto found = tensors.find(n.name);
    if (found == tensors.end()) {
      missing += "; missing: " + n.name + " " + n.tensor->shape().str();
      continue;
    }
    const Tensor& value = found->second;
    if (value.shape() != n.tensor->shape())
      misfit += "; wrong shape: " + n.name + " is " + value.shape().str() + ", the model needs " +
                n.tensor->shape().str();
    else if (!is_float(n.tensor->dtype()) && is_float(value.dtype()))
      misfit += "; wrong type: " + n.name + " is " + name_of(value.dtype()) + ", the model needs " +
                name_of(n.tensor->dtype());
  }
  for (const auto& [name, value] : tensors)
    if (!known.contains(name)) unexpected += "; unexpected: " + name + " " + value.shape().str();
  check(missing.empty() && unexpected.empty() && misfit.empty(), source, " does not fit the model", missing,
        unexpected, misfit);
  for (const Named& n : targets) check_finite(n.name, tensors.at(n.name), source);
  for (const Named& n : targets) *n.tensor = converted(tensors.at(n.name), n.tensor->dtype());
}

void load_state_dict(Module& module, const TensorMap& tensors, const std::string& source) {
  load_named(module.state(), tensors, source);
}

void save_weights(const Module& module, const std::string& path, const Metadata& metadata) {
  save_safetensors(path, state_dict(module), metadata);
}

Metadata load_weights(Module& module, const std::string& path) {
  TensorFile file = load_safetensors(path);
  load_state_dict(module, file.tensors, path);
  return std::move(file.metadata);
}

}  // namespace advf
