#include "advface/core/unfinished_rows.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string_view>

#include "advface/core/features.h"
#include "advface/core/json_text.h"
#include "tensor/backend.h"

namespace advf {
namespace {

using nlohmann::json;

constexpr const char* kFormat = "advface-unfinished-1";
constexpr std::string_view kBegin =
    R"({"format":"advface-unfinished-1",)";  // of the first line, as it is written
constexpr uint64_t kMaxHead = 1 << 20;       // far beyond what is written

// Keys are written in the order of the alphabet, so that the format comes first.
std::string head_line(const RowsToMake& what) {
  const json head = {
      {"format", kFormat}, {"protection", json::parse(what.protection.to_json())}, {"source", what.source}};
  return head.dump() + "\n";
}

RowsToMake parse_head(std::string_view text, const std::string& path) {
  const json head = json_or_discarded(text);
  check(head.is_object() && head.value("format", json()) == kFormat &&
            head.value("source", json()).is_string() && head.contains("protection"),
        path, ": holds no unfinished rows (no \"format\": \"", kFormat,
        "\" and what belongs to it in its first line); remove it, or write to another file");
  return {head["source"], ProtectionId::from_json(head["protection"].dump(), path)};
}

}  // namespace

UnfinishedRows::UnfinishedRows(const std::string& path, const Shape& row)
    : row_(row), row_bytes_(uint64_t(row.numel()) * sizeof(float)) {
  check(row_bytes_ > 0, path, ": rows of shape ", row, " hold nothing");
  lock(path);
  read_head();
}

UnfinishedRows::~UnfinishedRows() {
  if (file_ && !begun_) std::remove(path().c_str());
}

void UnfinishedRows::lock(const std::string& path) {
  do {
    file_ = std::make_unique<AppendFile>(path);
    check(file_->try_lock(), path,
          ": another program is at work on it; wait for its end, or write to another file");
  } while (!file_->is_at_path());  // the other came to its end, and removed it
}

void UnfinishedRows::read_head() {
  std::string start(size_t(std::min(file_->size(), kMaxHead)), '\0');
  file_->read_at(0, start.data(), start.size());
  const size_t end = start.find('\n');
  // What a head left whose writing broke off: nothing lies behind it.
  if (end == std::string::npos && start.size() < kMaxHead &&
      (start.starts_with(kBegin) || kBegin.starts_with(start)))
    return file_->truncate(0);
  begun_ = parse_head(std::string_view(start).substr(0, end == std::string::npos ? 0 : end), path());
  head_bytes_ = end + 1;
  count_ = int64_t((file_->size() - head_bytes_) / row_bytes_);
}

void UnfinishedRows::begin(const RowsToMake& what) {
  const std::string head = head_line(what);
  check(!begun_ && head.size() <= kMaxHead, path(),
        ": cannot be begun: ", begun_ ? "holds rows already" : "what is to be said of its rows is too long");
  file_->write_at(0, head.data(), head.size());
  file_->sync();
  begun_ = what;
  head_bytes_ = head.size();
}

void UnfinishedRows::cut_back(int64_t count) {
  check(count >= 0 && count <= count_, path(), ": cut back to ", count, " of ", count_, " rows");
  if (begun_) file_->truncate(place_of(count));
  count_ = count;
}

void UnfinishedRows::append(const Tensor& rows) {
  const int64_t n = rows.dim(0);
  check(begun_ && rows.shape() == with_rows(n, row_) && rows.dtype() == DType::f32, path(),
        ": rows of shape ", row_, " (f32) expected, got ", rows.shape(), " (", name_of(rows.dtype()), ")");
  const Tensor host = rows.on_host();
  file_->write_at(place_of(count_), host.raw(), host.bytes());
  file_->sync();
  count_ += n;
}

Tensor UnfinishedRows::range(int64_t begin, int64_t end) const {
  check(0 <= begin && begin <= end && end <= count_, path(), ": rows [", begin, ", ", end, ") of ", count_);
  const BackendScope on_host(host_backend());
  Tensor rows = Tensor::empty(with_rows(end - begin, row_));
  file_->read_at(place_of(begin), rows.raw(), rows.bytes());
  return rows;
}

void UnfinishedRows::remove() {
  std::remove(path().c_str());
  file_.reset();  // after which somebody else may begin
}

}  // namespace advf
