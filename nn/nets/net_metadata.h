// The description of a network as the metadata strings of its weight file, read back with checks: the file is
// not trusted, so numbers have ranges and every error names the file, the key and the value.
#pragma once
#include <cstdint>
#include <string>

#include "nn/state_dict.h"

namespace advf {

const std::string& metadata_text(const Metadata& metadata, const std::string& key, const std::string& source);
int64_t metadata_int(const Metadata& metadata, const std::string& key, int64_t low, int64_t high,
                     const std::string& source);
double metadata_number(const Metadata& metadata, const std::string& key,
                       const std::string& source);  // finite
// "512" or "64x56x56"
std::string shape_text(const Shape& shape);
Shape metadata_shape(const Metadata& metadata, const std::string& key, const std::string& source);

}  // namespace advf
