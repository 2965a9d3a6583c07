#include "advface/store/enrolled_set.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "advface/core/json_text.h"
#include "nn/nets/net_metadata.h"
#include "tensor/backend.h"
#include "tensor/hash.h"
#include "tensor/io/input_file.h"
#include "tensor/io/npy.h"

namespace advf {
namespace {

using nlohmann::json;

constexpr const char* kFormat = "advface-set-1";
constexpr uint64_t kMaxLine = 1 << 20;  // far beyond what is written; a longer line is damage

// The first line of an index.
struct Head {
  std::string row;
  Metadata made_by;
  uint64_t end = 0;  // where the records begin
};

Head parse_head(const std::string& text, const std::string& path) {
  const size_t end = text.find('\n');
  const json head = json_or_discarded(text.substr(0, end));
  check(end != std::string::npos && head.is_object() && head.value("format", json()) == kFormat &&
            head.value("row", json()).is_string() && head.value("made_by", json()).is_object(),
        path, ": not the index of an enrolled set (no \"format\": \"", kFormat, "\" in its first line)");
  Head result{head["row"], {}, end + 1};
  for (const auto& [key, value] : head["made_by"].items()) {
    check(value.is_string(), path, ": \"made_by\" names \"", key, "\" without a text");
    result.made_by[key] = value;
  }
  return result;
}

// What a line says of a record; nothing where it is not whole.
struct Line {
  int64_t record = 0;
  EnrolledRows::Record what;
};
std::optional<Line> parse_line(std::string_view text) {
  const json line = json_or_discarded(text);
  if (!line.is_object() || !line.value("record", json()).is_number_integer() ||
      !line.value("name", json()).is_string() || !line.value("checksum", json()).is_string())
    return std::nullopt;
  return Line{line["record"], {line["name"], line["checksum"]}};
}

constexpr const char* kRecogniser = "recogniser";
constexpr const char* kCut = "cut";
// Of one ascent the settings stand by name, as they did when there was no other protection; of others, and of
// several, the value of protection_id.h.
constexpr const char* kPlain = "advface";
constexpr const char* kProtection = "protection";
// Beside these stand the fingerprints of networks and the settings.
constexpr std::array kNetworks = {"shadow", "generator"};

FeatureInfo info_from(const Metadata& made_by, const std::string& index) {
  FeatureInfo info;
  AppliedProtection protection{kPlain, {}, {}};
  for (const auto& [key, text] : made_by) {
    if (key == kRecogniser)
      info.recogniser = text;
    else if (key == kCut)
      info.cut = text;
    else if (key == kProtection)
      info.protection = ProtectionId::from_json(text, index);
    else if (std::find(kNetworks.begin(), kNetworks.end(), key) != kNetworks.end())
      protection.networks[key] = text;
    else
      protection.settings[key] = !json_or_discarded(text).is_discarded() ? text : json(text).dump();
  }
  if (info.protection.applied.empty()) info.protection.applied.push_back(canonical(protection, index));
  return info;
}

std::string checksum(const std::byte* row, uint64_t bytes) { return hex(fnv1a({row, size_t(bytes)})); }

}  // namespace

FeatureInfo info_of_set(const std::string& path, const Shape& row) {
  const std::string index = npy_index_path(path);
  std::ifstream file(index, std::ios::binary);
  std::string start(kMaxLine, '\0');
  start.resize(
      size_t(std::max<std::streamsize>(0, file.read(start.data(), std::streamsize(kMaxLine)).gcount())));
  const Head head = parse_head(start, index);
  check(head.row == shape_text(row), index, ": is of features of shape ", head.row, ", but ", path,
        " has rows of shape ", row);
  return info_from(head.made_by, index);
}

EnrolledRows read_enrolled_set(const std::string& path) {
  constexpr int64_t kBlock = 256;
  const NpyReader array(path);
  const std::string index = npy_index_path(path);
  const std::vector<std::byte> bytes = read_file(index, uint64_t(1) << 36);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const Head head = parse_head(std::string(text.substr(0, std::min<size_t>(text.size(), kMaxLine))), index);
  EnrolledRows set;
  set.made_by = head.made_by;
  set.row = Shape(std::span<const int64_t>(array.shape().begin() + 1, size_t(array.shape().rank() - 1)));
  check(array.dtype() == DType::f32 && head.row == shape_text(set.row), index, ": is of features of shape ",
        head.row, ", but ", path, " has shape ", array.shape(), " (", name_of(array.dtype()), ")");
  size_t at = size_t(head.end);
  for (int64_t r = 0; r < array.rows(); ++r) {
    const size_t end = text.find('\n', at);
    const auto line = end == std::string_view::npos ? std::nullopt : parse_line(text.substr(at, end - at));
    check(line && line->record == r, index, ": has no line of record ", r, ", though the array has ",
          array.rows(), " rows; it is damaged");
    set.records.push_back(line->what);
    at = end + 1;
  }
  const BackendScope host(host_backend());
  const uint64_t row_bytes = uint64_t(set.row.numel()) * sizeof(float);
  for (int64_t begin = 0; begin < array.rows(); begin += kBlock) {
    const int64_t end = std::min(array.rows(), begin + kBlock);
    const Tensor rows = array.read_rows(begin, end);
    for (int64_t r = begin; r < end; ++r)
      check(checksum(rows.raw() + uint64_t(r - begin) * row_bytes, row_bytes) ==
                set.records[size_t(r)].checksum,
            path, ": row ", r, " is not what ", index, " says; one of them was changed");
  }
  return set;
}

}  // namespace advf
