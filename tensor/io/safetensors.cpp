#include "tensor/io/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "tensor/backend.h"
#include "tensor/io/atomic_file.h"
#include "tensor/io/byte_size.h"
#include "tensor/io/half.h"
#include "tensor/io/input_file.h"

namespace advf {
namespace {

static_assert(std::endian::native == std::endian::little,
              "files are little-endian and are copied as they are");

constexpr const char* kMetadata = "__metadata__";

struct FileType {
  const char* name;
  size_t bytes;  // per element in the file
  DType dtype;   // in memory
  float (*widen)(uint16_t) = nullptr;
};
constexpr FileType kFileTypes[] = {{"F32", 4, DType::f32},
                                   {"F64", 8, DType::f64},
                                   {"I32", 4, DType::i32},
                                   {"I64", 8, DType::i64},
                                   {"U8", 1, DType::u8},
                                   {"F16", 2, DType::f32, f16_to_float},
                                   {"BF16", 2, DType::f32, bf16_to_float}};

struct Entry {
  std::string name;
  const FileType* type = nullptr;
  Shape shape;
  uint64_t begin = 0, end = 0;  // relative to the first byte after the header
};

// Reads `bytes` bytes at `offset` of the file or of memory.
using ReadAt = std::function<void(uint64_t offset, void* out, size_t bytes)>;

uint64_t unsigned_number(const nlohmann::json& value, const std::string& where) {
  check(value.is_number_unsigned(), where, ": a shape or an offset is not a whole number");
  return value.get<uint64_t>();
}

Entry parse_entry(const std::string& name, const nlohmann::json& value, const std::string& file) {
  const std::string where = file + ": tensor \"" + name + "\"";
  check(value.is_object() && value.size() == 3 && value.contains("dtype") && value.contains("shape") &&
            value.contains("data_offsets"),
        where, ": not exactly dtype, shape and data_offsets");
  check(value["dtype"].is_string(), where, ": dtype is not a string");
  check(value["shape"].is_array(), where, ": shape is not an array");
  check(value["data_offsets"].is_array() && value["data_offsets"].size() == 2, where,
        ": data_offsets is not an array of two");
  Entry e;
  e.name = name;
  const auto& dtype = value["dtype"].get_ref<const std::string&>();
  for (const FileType& t : kFileTypes)
    if (dtype == t.name) e.type = &t;
  check(e.type != nullptr, where, ": dtype ", dtype, " is not one of F32, F64, I32, I64, U8, F16, BF16");
  check(value["shape"].size() <= size_t(Shape::kMaxRank), where, ": ", value["shape"].size(),
        " dimensions; at most ", Shape::kMaxRank, " are supported");
  for (const auto& d : value["shape"]) {
    const uint64_t size = unsigned_number(d, where);
    check(size <= uint64_t(INT64_MAX), where, ": its shape has too many elements");
    e.shape.push_back(int64_t(size));
  }
  e.begin = unsigned_number(value["data_offsets"][0], where);
  e.end = unsigned_number(value["data_offsets"][1], where);
  const int64_t bytes = byte_size(e.shape, e.type->bytes, where);
  check(e.begin <= e.end && e.end - e.begin == uint64_t(bytes), where, ": shape ", e.shape, " of ", dtype,
        " takes ", bytes, " bytes, its data_offsets are ", e.begin, " and ", e.end);
  return e;
}

// The JSON of the header. The library keeps the last of two equal keys, so they are looked for while it
// parses; real headers are three levels deep.
nlohmann::json parse_json(const std::string& text, const std::string& file) {
  check(!text.empty() && text[0] == '{', file, ": not a safetensors file: the header does not start with {");
  std::vector<std::set<std::string>> keys;
  const auto callback = [&](int depth, nlohmann::json::parse_event_t event, nlohmann::json& value) {
    using Event = nlohmann::json::parse_event_t;
    if (event == Event::object_start || event == Event::array_start) {
      check(depth < 4, file, ": the header is nested too deeply");
      keys.resize(size_t(depth) + 1);
      keys.emplace_back();
    } else if (event == Event::key) {
      const auto& key = value.get_ref<const std::string&>();
      check(keys.at(size_t(depth)).insert(key).second, file, ": \"", key, "\" stands twice in the header");
    }
    return true;
  };
  try {
    return nlohmann::json::parse(text, callback);
  } catch (const nlohmann::json::exception& e) {
    fail(file, ": the header is not valid JSON: ", e.what());
  }
}

TensorFile load(uint64_t size, const ReadAt& read_at, const std::string& file) {
  check(size >= 8, file, ": not a safetensors file: ", size, " bytes");
  uint64_t header_size = 0;
  read_at(0, &header_size, 8);
  check(header_size <= size - 8, file, ": cut short, or not a safetensors file: a header of ", header_size,
        " bytes in a file of ", size);
  check(header_size <= uint64_t(kMostSafetensorsHeader), file, ": a header of ", header_size,
        " bytes; at most ", kMostSafetensorsHeader, " are read");
  std::string text(size_t(header_size), '\0');
  read_at(8, text.data(), text.size());
  const nlohmann::json header = parse_json(text, file);

  TensorFile out;
  std::vector<Entry> entries;
  for (const auto& [name, value] : header.items()) {
    if (name != kMetadata) {
      entries.push_back(parse_entry(name, value, file));
      continue;
    }
    check(value.is_object(), file, ": ", kMetadata, " is not an object");
    for (const auto& [key, text_value] : value.items()) {
      check(text_value.is_string(), file, ": metadata \"", key, "\" is not a string");
      out.metadata[key] = text_value.get<std::string>();
    }
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  const uint64_t data = 8 + header_size, data_size = size - data;
  uint64_t at = 0;
  for (const Entry& e : entries) {
    check(e.end <= data_size, file, ": tensor \"", e.name, "\" ends at byte ", e.end, " of ", data_size,
          "; is the file cut short?");
    check(e.begin >= at, file, ": tensor \"", e.name, "\" overlaps another");
    check(e.begin == at, file, ": ", e.begin - at, " bytes before tensor \"", e.name, "\" belong to none");
    at = e.end;
  }
  check(at == data_size, file, ": ", data_size - at, " bytes after the last tensor belong to none");

  for (const Entry& e : entries) {
    const size_t bytes = size_t(e.end - e.begin);
    Tensor& tensor = out.tensors[e.name];
    if (e.type->widen) {
      std::vector<uint16_t> narrow(bytes / 2);
      read_at(data + e.begin, narrow.data(), bytes);
      std::vector<float> wide(narrow.size());
      std::transform(narrow.begin(), narrow.end(), wide.begin(), e.type->widen);
      tensor = Tensor::from(wide, e.shape);
    } else if (current_backend().is_host()) {
      tensor = Tensor::empty(e.shape, e.type->dtype);
      if (tensor.has_storage()) read_at(data + e.begin, tensor.raw(), bytes);
    } else {
      std::vector<std::byte> values(bytes);
      read_at(data + e.begin, values.data(), bytes);
      tensor = Tensor::from_bytes(values, e.shape, e.type->dtype);
    }
  }
  return out;
}

}  // namespace

TensorFile load_safetensors(const std::string& path) {
  const InputFile file(path);
  return load(
      file.size(), [&](uint64_t offset, void* out, size_t bytes) { file.read_at(offset, out, bytes); }, path);
}

TensorFile parse_safetensors(std::span<const std::byte> bytes, const std::string& name) {
  const auto read_at = [&](uint64_t offset, void* out, size_t n) {
    if (n > 0) std::memcpy(out, bytes.data() + offset, n);
  };
  return load(bytes.size(), read_at, name);
}

void save_safetensors(const std::string& path, const std::map<std::string, Tensor>& tensors,
                      const std::map<std::string, std::string>& metadata) {
  std::vector<std::pair<std::string, const Tensor*>> order;
  for (const auto& [name, tensor] : tensors) {
    check(tensor.defined() && tensor.has_storage(), path, ": tensor \"", name,
          "\" has no values to be written");
    check(name != kMetadata, path, ": a tensor cannot be called ", kMetadata);
    order.emplace_back(name, &tensor);
  }
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return size_of(a.second->dtype()) > size_of(b.second->dtype());
  });
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[kMetadata] = metadata;
  uint64_t at = 0;
  for (const auto& [name, tensor] : order) {
    const auto type =
        std::find_if(std::begin(kFileTypes), std::end(kFileTypes),
                     [&t = *tensor](const FileType& f) { return f.dtype == t.dtype() && !f.widen; });
    header[name] = {{"dtype", type->name},
                    {"shape", std::vector<int64_t>(tensor->shape().begin(), tensor->shape().end())},
                    {"data_offsets", {at, at + tensor->bytes()}}};
    at += tensor->bytes();
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::exception& e) {
    fail(path, ": a name or metadata cannot be written: ", e.what());
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');
  check(int64_t(text.size()) <= kMostSafetensorsHeader, path, ": too many names for one file: a header of ",
        text.size(), " bytes");

  AtomicFile file(path);
  const uint64_t header_size = text.size();
  file.write(&header_size, 8);
  file.write(text);
  for (const auto& [name, tensor] : order) {
    if (tensor->backend().is_host()) {
      file.write(tensor->raw(), tensor->bytes());
    } else {
      std::vector<std::byte> host(tensor->bytes());
      tensor->backend().copy_out(host.data(), tensor->raw(), host.size());
      file.write(host.data(), host.size());
    }
  }
  file.commit();
}

}  // namespace advf
