#include "nn/onnx/external.h"

#include <algorithm>
#include <filesystem>

#include "tensor/check.h"
#include "tensor/hash.h"
#include "tensor/io/input_file.h"

namespace advf::onnx {
namespace {

namespace fs = std::filesystem;

// Whether a path stays in the folder that it is relative to, also through links.
bool stays_inside(const fs::path& folder, const fs::path& path) {
  if (path.empty() || path.is_absolute()) return false;
  if (std::any_of(path.begin(), path.end(), [](const fs::path& part) { return part == ".."; })) return false;
  std::error_code error;
  const fs::path inside =
      fs::weakly_canonical(folder / path, error).lexically_relative(fs::weakly_canonical(folder, error));
  return !error && !inside.empty() && *inside.begin() != "..";
}

}  // namespace

const std::vector<std::byte>& ExternalData::file(const std::string& location) {
  const fs::path folder = folder_;
  check(location.find('\0') == std::string::npos && stays_inside(folder, location), "keeps its data in \"",
        location, "\", which is not a file in the model's folder");
  const std::string name = fs::path(location).lexically_normal().generic_string();
  if (const auto found = files_.find(name); found != files_.end()) return found->second;
  const fs::path path = folder / name;
  std::error_code none;
  check(fs::is_regular_file(path, none), "keeps its data in ", path.string(),
        ", which is not there; put it beside the model, or save the model with its weights inside");
  std::vector<std::byte> bytes = read_file(path.string(), bytes_left_);
  bytes_left_ -= bytes.size();
  return files_.emplace(name, std::move(bytes)).first->second;
}

std::string_view ExternalData::read(const std::string& location, uint64_t offset, uint64_t length) {
  check(!folder_.empty(), "keeps its data in another file; save the model with its weights inside");
  const std::vector<std::byte>& bytes = file(location);
  // The same words for every tensor of a file, so that they make one line.
  check(offset <= bytes.size() && length <= bytes.size() - offset, "keeps its data beyond the end of \"",
        location, "\", which has ", bytes.size(), " bytes; is it whole, and the right file?");
  const auto* begin = reinterpret_cast<const char*>(bytes.data()) + offset;
  return {begin, size_t(length > 0 ? length : bytes.size() - offset)};
}

uint64_t ExternalData::hash(uint64_t hash) const {
  for (const auto& [unused, bytes] : files_) hash = fnv1a(bytes, fnv1a(std::to_string(bytes.size()), hash));
  return hash;
}

}  // namespace advf::onnx
