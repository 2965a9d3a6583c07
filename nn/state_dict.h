// Weights to and from safetensors files, by name and shape, strict both ways: one error lists every tensor
// that is missing, unexpected or of another shape. Nothing is changed unless everything fits.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "nn/module.h"

namespace advf {

using TensorMap = std::map<std::string, Tensor>;
using Metadata = std::map<std::string, std::string>;

// The values now. The tensors share memory with the module's: save before the next optimiser step.
TensorMap state_dict(const Module& module);
TensorMap to_map(const std::vector<Named>& targets);

// Tells weights apart: 16 hex digits (FNV-1a) of the names and values of the whole state.
std::string weights_hash(const Module& module);

// Throws Error naming the source and the tensor where a float of it is not finite. Others are not looked at.
void check_finite(const std::string& name, const Tensor& tensor, const std::string& source);

// Replaces the target tensors. Every value must be finite. Values are converted to the type that the target
// has (a whole-number target needs a whole-number tensor) and copied to the current backend. `source` names
// the file in errors.
void load_state_dict(Module& module, const TensorMap& tensors, const std::string& source);
void load_named(const std::vector<Named>& targets, const TensorMap& tensors, const std::string& source);

// Files. load_weights returns the metadata.
void save_weights(const Module& module, const std::string& path, const Metadata& metadata = {});
Metadata load_weights(Module& module, const std::string& path);

}  // namespace advf
