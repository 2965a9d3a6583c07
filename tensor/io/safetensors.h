// safetensors, the project's only weight format: 8 bytes of header length, a JSON header naming each tensor's
// type, shape and byte range, then the raw little-endian values. The reader trusts nothing in the file.
#pragma once
#include <cstddef>
#include <map>
#include <span>
#include <string>

#include "tensor/tensor.h"

namespace advf {

struct TensorFile {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata;
};

constexpr int64_t kMostSafetensorsHeader = int64_t(16) << 20;  // bytes

// F32, F64, I32, I64 and U8 as they are; F16 and BF16 widened to f32. Tensors land on the current backend.
// Throws Error, naming the file and the tensor, for: a header that is no such JSON, too long
// (kMostSafetensorsHeader), with a name twice; a type we do not have; a shape that overflows, has more than
// five dimensions or does not fit its range; ranges that overlap, leave holes or leave the file. Nothing is
// allocated that the file's own size does not cover (twice that for 16-bit values).
TensorFile load_safetensors(const std::string& path);
// The same from memory; `name` stands for the file in messages.
TensorFile parse_safetensors(std::span<const std::byte> bytes, const std::string& name);

// Values of larger types first, then by name, so that every tensor is aligned; the header padded to 8 bytes.
// The file appears whole or not at all. Throws Error for an undefined tensor and for a name that is not
// UTF-8.
void save_safetensors(const std::string& path, const std::map<std::string, Tensor>& tensors,
                      const std::map<std::string, std::string>& metadata = {});

}  // namespace advf
