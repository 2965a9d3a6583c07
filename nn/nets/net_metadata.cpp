#include "nn/nets/net_metadata.h"

#include <charconv>
#include <cmath>

namespace advf {
namespace {

bool parse_int(std::string_view text, int64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

const std::string& metadata_text(const Metadata& metadata, const std::string& key,
                                 const std::string& source) {
  const auto found = metadata.find(key);
  check(found != metadata.end(), source, ": the metadata has no \"", key,
        "\"; was the file written by this project?");
  return found->second;
}

int64_t metadata_int(const Metadata& metadata, const std::string& key, int64_t low, int64_t high,
                     const std::string& source) {
  const std::string& text = metadata_text(metadata, key, source);
  int64_t value = 0;
  check(parse_int(text, value) && low <= value && value <= high, source, ": \"", key, "\" is \"", text,
        "\", not a number from ", low, " to ", high);
  return value;
}

double metadata_number(const Metadata& metadata, const std::string& key, const std::string& source) {
  const std::string& text = metadata_text(metadata, key, source);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  check(error == std::errc() && end == text.data() + text.size() && std::isfinite(value), source, ": \"", key,
        "\" is \"", text, "\", not a number");
  return value;
}

std::string shape_text(const Shape& shape) {
  std::string text;
  for (const int64_t d : shape) text += (text.empty() ? "" : "x") + std::to_string(d);
  return text;
}

Shape metadata_shape(const Metadata& metadata, const std::string& key, const std::string& source) {
  const std::string& text = metadata_text(metadata, key, source);
  Shape shape;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('x', begin), text.size());
    int64_t size = 0;
    check(parse_int(std::string_view(text).substr(begin, end - begin), size) && size > 0 &&
              shape.rank() < Shape::kMaxRank,
          source, ": \"", key, "\" is \"", text, "\", not a shape such as 512 or 64x56x56");
    shape.push_back(size);
    begin = end + 1;
  }
  return shape;
}

}  // namespace advf
