#include "advface/store/enrolled_set.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "nn/nets/net_metadata.h"
#include "tensor/backend.h"
#include "tensor/hash.h"
#include "tensor/io/input_file.h"
#include "tensor/io/npy.h"

namespace advf {
namespace {

using nlohmann::json;

constexpr const char* kFormat = "advface-set-1";
constexpr size_t kMaxName = 4096;
constexpr uint64_t kMaxLine = 1 << 20;  // far beyond what is written; a longer line is damage
constexpr uint64_t kTail = 64 << 10;    // of the index, looked at first

std::string line_of(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

std::string head_line(const Shape& row, const Metadata& made_by) {
  return line_of({{"format", kFormat}, {"row", shape_text(row)}, {"made_by", made_by}});
}

// The first line of an index.
struct Head {
  std::string row;
  Metadata made_by;
  uint64_t end = 0;  // where the records begin
};

Head parse_head(const std::string& text, const std::string& path) {
  const size_t end = text.find('\n');
  const json head = json::parse(text.substr(0, end), nullptr, false);
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
  const json line = json::parse(text, nullptr, false);
  if (!line.is_object() || !line.value("record", json()).is_number_integer() ||
      !line.value("name", json()).is_string() || !line.value("checksum", json()).is_string())
    return std::nullopt;
  return Line{line["record"], {line["name"], line["checksum"]}};
}

std::string read_range(const AppendFile& file, uint64_t begin, uint64_t end) {
  std::string text(size_t(end - begin), '\0');
  file.read_at(begin, text.data(), text.size());
  return text;
}

// Finds the line of a record from the end of the index backwards, as there is little behind it: what one
// broken append left. Gives the line and where it ends.
std::pair<Line, uint64_t> find_line(const AppendFile& index, uint64_t head_end, int64_t record) {
  const uint64_t size = index.size();
  for (uint64_t window = kTail;; window *= 4) {
    const bool all = size - head_end <= window;
    const uint64_t begin = all ? head_end : size - window;
    const std::string text = read_range(index, begin, size);
    size_t end = text.rfind('\n');
    while (end != std::string::npos) {
      const size_t before = end == 0 ? std::string::npos : text.rfind('\n', end - 1);
      if (before == std::string::npos && !all) break;  // it may have begun before the window
      const size_t start = before == std::string::npos ? 0 : before + 1;
      const auto line = parse_line(std::string_view(text).substr(start, end - start));
      if (line && line->record == record) return {*line, begin + end + 1};
      check(!line || line->record > record, index.path(), ": has no line of record ", record,
            ", though the array has ", record + 1, " rows; it is damaged");
      end = before;
    }
    check(!all, index.path(), ": has no line of record ", record, ", though the array has ", record + 1,
          " rows; it is damaged");
  }
}

std::string quoted(const Metadata& m, const std::string& key) {
  const auto found = m.find(key);
  return found == m.end() ? key + " is not set" : key + " is " + found->second;
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
      protection.settings[key] = json::accept(text) ? text : json(text).dump();
  }
  if (info.protection.applied.empty()) info.protection.applied.push_back(canonical(protection, index));
  return info;
}

// Whether two texts say the same of how rows were protected, in the words of different versions.
bool mean_the_same(const Metadata& a, const Metadata& b, const std::string& index) {
  try {
    const FeatureInfo one = info_from(a, index), other = info_from(b, index);
    return one.recogniser == other.recogniser && one.cut == other.cut && one.protection == other.protection;
  } catch (const Error&) {
    return false;
  }
}

// Names the first thing that is not the same.
void check_same(const Metadata& theirs, const Metadata& ours, const std::string& path) {
  if (theirs != ours && mean_the_same(theirs, ours, path)) return;
  Metadata keys = theirs;
  keys.insert(ours.begin(), ours.end());
  for (const auto& [key, unused] : keys) {
    const auto a = theirs.find(key), b = ours.find(key);
    check(a != theirs.end() && b != ours.end() && a->second == b->second, path,
          ": was protected otherwise: there ", quoted(theirs, key), ", in this call ", quoted(ours, key),
          "; records of one set are protected alike");
  }
}

std::string checksum(const std::byte* row, uint64_t bytes) { return hex(fnv1a({row, size_t(bytes)})); }

}  // namespace

EnrolledSet::EnrolledSet(const std::string& path, const Shape& row, const Metadata& made_by,
                         const std::function<bool()>& wait)
    : path_(path), row_(row), row_bytes_(uint64_t(row.numel()) * sizeof(float)) {
  lock(wait);
  std::error_code none;
  is_new_ = !std::filesystem::exists(path_, none);
  try {
    is_new_ ? begin(made_by) : open(made_by);
  } catch (...) {
    // An index that was made only to be locked goes again.
    if (index_->size() == 0) std::remove(index_->path().c_str());
    throw;
  }
}

EnrolledSet::~EnrolledSet() {
  if (done_) return;
  try {
    if (is_new_) {
      std::remove(array_->path().c_str());
      std::remove(index_->path().c_str());
      return;
    }
    // A header that could not be put back may count the new rows: they stay.
    if (header_at_risk_) write_header(committed_);
    array_->truncate(end_of(committed_));
    index_->truncate(index_end_);
  } catch (const Error&) {
    // What is left behind the set is not read, and cut off by the next append.
  }
}

uint64_t EnrolledSet::end_of(int64_t rows) const { return kNpyHeaderBytes + uint64_t(rows) * row_bytes_; }

// The index is what is locked: it is there before the array, and stays the same file.
void EnrolledSet::lock(const std::function<bool()>& wait) {
  for (;;) {
    index_ = std::make_unique<AppendFile>(npy_index_path(path_), AppendFile::Open::created);
    while (!index_->try_lock()) {
      if (wait && !wait()) throw Interrupted();
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    if (index_->is_at_path()) return;  // else its owner gave up meanwhile, and removed it
  }
}

void EnrolledSet::begin(const Metadata& made_by) {
  array_ = std::make_unique<AppendFile>(path_ + ".new", AppendFile::Open::emptied);
  index_->truncate(0);
  lines_ = head_line(row_, made_by);
}

void EnrolledSet::open(const Metadata& made_by) {
  array_ = std::make_unique<AppendFile>(path_, AppendFile::Open::existing);
  check(index_->size() > 0, path_, ": has no index (", index_->path(),
        "), so it is not known how its rows were protected; advface-protect --append begins a new set under "
        "another name");
  const uint64_t index_size = index_->size();
  const Head head = parse_head(read_range(*index_, 0, std::min(index_size, kMaxLine)), index_->path());
  std::vector<std::byte> start(size_t(std::min<uint64_t>(array_->size(), kNpyHeaderBytes)));
  array_->read_at(0, start.data(), start.size());
  const NpyHeader header = parse_growing_npy_header(start, array_->size(), path_);
  check(header.data_offset == kNpyHeaderBytes && header.dtype == DType::f32 && !header.half, path_,
        ": holds values of type ", header.half ? "f16" : name_of(header.dtype),
        " or has a header of another program; a set holds f32");
  check(header.shape.rank() == row_.rank() + 1 && header.shape == with_rows(header.shape[0], row_), path_,
        " has shape ", header.shape, "; features of shape ", row_, " do not go into it");
  check(head.row == shape_text(row_), index_->path(), ": is of features of shape ", head.row, ", but ", path_,
        " has shape ", header.shape);
  check_same(head.made_by, made_by, path_);
  committed_ = header.shape[0];
  index_end_ = head.end;
  if (committed_ > 0) {
    const auto [last, end] = find_line(*index_, head.end, committed_ - 1);
    std::vector<std::byte> row(static_cast<size_t>(row_bytes_));
    array_->read_at(end_of(committed_ - 1), row.data(), row.size());
    check(checksum(row.data(), row_bytes_) == last.what.checksum, path_, ": row ", committed_ - 1,
          " is not what ", index_->path(), " says; one of them was changed");
    index_end_ = end;
  }
  array_->truncate(end_of(committed_));
  index_->truncate(index_end_);
}

void EnrolledSet::write_header(int64_t rows) {
  const std::string header = npy_header(path_, DType::f32, with_rows(rows, row_));
  array_->write_at(0, header.data(), header.size());
}

void EnrolledSet::append(const Tensor& rows, std::span<const std::string> names) {
  const int64_t n = rows.dim(0);
  check(!done_ && rows.shape() == with_rows(n, row_) && rows.dtype() == DType::f32, path_, ": rows of shape ",
        row_, " (f32) expected, got ", rows.shape(), " (", name_of(rows.dtype()), ")");
  check(int64_t(names.size()) == n, path_, ": ", n, " rows with ", names.size(), " names");
  for (const std::string& name : names)
    check(name.size() <= kMaxName, path_, ": a name of ", name.size(), " bytes; at most ", kMaxName);
  const Tensor host = rows.to(host_backend());
  const std::byte* values = host.raw();
  array_->write_at(end_of(committed_ + added_), values, size_t(n) * size_t(row_bytes_));
  for (int64_t i = 0; i < n; ++i)
    lines_ += line_of({{"record", committed_ + added_ + i},
                       {"name", names[size_t(i)]},
                       {"checksum", checksum(values + size_t(i) * size_t(row_bytes_), row_bytes_)}});
  added_ += n;
}

void EnrolledSet::commit() {
  if (is_new_) write_header(added_);  // nobody reads it before it is renamed
  array_->sync();
  index_->write_at(index_end_, lines_.data(), lines_.size());
  index_->sync();
  if (is_new_) {
    check(std::rename(array_->path().c_str(), path_.c_str()) == 0, path_,
          ": cannot be written: ", std::strerror(errno));
    done_ = true;
    sync_folder_of(path_);
    return;
  }
  header_at_risk_ = true;
  write_header(committed_ + added_);
  array_->sync();
  done_ = true;
}

Metadata made_by(const FeatureInfo& info) {
  check(info.protection.known() && !info.protection.is_raw(),
        "a set holds what was protected, not features that are ", info.protection.describe());
  const AppliedProtection& protection = info.protection.applied[0];
  if (info.protection.applied.size() > 1 || protection.name != kPlain)
    return {{kRecogniser, info.recogniser}, {kCut, info.cut}, {kProtection, info.protection.to_json()}};
  Metadata m = protection.networks;
  m[kRecogniser] = info.recogniser;
  m[kCut] = info.cut;
  for (const auto& [key, text] : protection.settings) {
    const json value = json::parse(text);
    m[key] = value.is_string() ? value.get<std::string>() : text;
  }
  return m;
}

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
