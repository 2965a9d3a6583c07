#include "advface/store/set_scan.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>

#include "advface/core/feature_domain.h"
#include "advface/store/record_columns.h"
#include "autograd/tape.h"
#include "tensor/backend.h"
#include "tensor/ops.h"
#include "tensor/parallel.h"

namespace advf {
namespace {

constexpr int64_t kBlock = 512;       // rows that lie in a cache while they are compared
constexpr int64_t kFewProbes = 4;     // for fewer a matrix product would spend its time on packing rows
constexpr int64_t kOwnSpaces = 2048;  // records whose rotations are made at a time

const char* const kRowsAndSalts =
    "SELECT f.id, f.feature, r.salt, r.checksum, r.bound FROM features f JOIN records r ON r.id = f.id "
    "WHERE f.id >= ? AND f.id < ? ORDER BY f.id";

// Tells a row of another length than the set's.
void check_length(std::span<const std::byte> row, int64_t id, const StoredSet& set, const std::string& path) {
  const size_t bytes = size_t(set.row_bytes());
  check(row.size() == bytes, path, " is damaged: record ", number_of_row(id), " of the set ", set.name,
        " has ", row.size(), " bytes, not ", bytes);
}

// The same as floats; copied only where they are none, or lie at no place for some.
const float* row_values(std::span<const std::byte> row, const StoredSet& set, std::vector<float>& copy) {
  if (set.row_type == RowType::f32 && reinterpret_cast<uintptr_t>(row.data()) % alignof(float) == 0)
    return reinterpret_cast<const float*>(row.data());
  unpack_row(set.row_type, row, copy);
  return copy.data();
}

float one_over_norm(const float* row, int64_t d) {
  const float square = inner_product(row, row, d);
  check(std::isfinite(square), "a row holds what is no number; advface-store check says which it is");
  return square > 0 ? 1 / std::sqrt(square) : 0;
}

// Rows by their norms.
void normalise(float* rows, int64_t n, int64_t d) {
  for (int64_t i = 0; i < n; ++i) {
    const float scale = one_over_norm(rows + i * d, d);
    for (int64_t k = 0; k < d; ++k) rows[i * d + k] *= scale;
  }
}

// The rows of one part of a set, read by one thread.
class Part {
 public:
  Part(Database& database, const StoredSet& set, const Tensor& probes, int64_t most)
      : database_(database), set_(set), probes_(probes), best_(probes.dim(0), most) {}

  void scan(int64_t begin, int64_t end) {
    const BackendScope on_host(host_backend());
    const NoTapeScope off;
    const bool few = probes_.dim(0) <= kFewProbes;
    std::vector<float> copy(static_cast<size_t>(set_.dimension));
    database_.for_each_blob("features", "feature", size_t(set_.row_bytes()), row_id(set_.id, begin),
                            row_id(set_.id, end), [&](int64_t id, std::span<const std::byte> row) {
                              ++count_;
                              check_length(row, id, set_, database_.path());
                              if (few)
                                compare(number_of_row(id), row_values(row, set_, copy));
                              else
                                collect(number_of_row(id), row);
                            });
    compare_block();
  }
  const NearestSoFar& best() const { return best_; }
  int64_t count() const { return count_; }  // of rows that were compared

 private:
  void compare(int64_t number, const float* row) {
    const int64_t d = set_.dimension, m = probes_.dim(0);
    const float scale = one_over_norm(row, d);
    for (int64_t p = 0; p < m; ++p)
      best_.take(p, number, scale * inner_product(probes_.data<float>() + p * d, row, d));
  }
  void collect(int64_t number, std::span<const std::byte> row) {
    const size_t d = size_t(set_.dimension);
    if (numbers_.empty()) {
      // Always whole, so that a row's score depends on it alone; what the last block had there is not asked
      // for.
      if (!block_.defined()) block_ = Tensor::zeros({kBlock, set_.dimension});
      values_ = block_.mutable_data<float>();
    }
    unpack_row(set_.row_type, row, {values_ + numbers_.size() * d, d});
    numbers_.push_back(number);
    if (int64_t(numbers_.size()) == kBlock) compare_block();
  }
  void compare_block() {
    if (numbers_.empty()) return;
    normalise(values_, int64_t(numbers_.size()), set_.dimension);
    const Tensor scores = matmul(probes_, block_, {}, {.transpose_b = true});
    const float* all = scores.data<float>();
    for (int64_t p = 0; p < probes_.dim(0); ++p)
      for (size_t i = 0; i < numbers_.size(); ++i)
        best_.take(p, numbers_[i], all[size_t(p) * size_t(kBlock) + i]);
    numbers_.clear();
  }

  Database& database_;
  const StoredSet& set_;
  const Tensor& probes_;
  NearestSoFar best_;
  Tensor block_;
  float* values_ = nullptr;
  std::vector<int64_t> numbers_;  // of its rows
  int64_t count_ = 0;
};

}  // namespace

std::vector<std::vector<Neighbour>> nearest_in_set(Store& store, const StoredSet& set, const Tensor& probes,
                                                   int64_t most) {
  check(probes.shape().rank() == 2 && probes.dim(1) == set.dimension, store.path(), ": the set ", set.name,
        " has records of ", set.dimension, " values, but probes are of shape ", probes.shape());
  const BackendScope on_host(host_backend());
  const NoTapeScope off;
  const Tensor units = l2_normalise(probes.on_host());
  const int64_t parts = std::min<int64_t>(num_threads(), std::max<int64_t>(1, set.records / 4096));
  const auto readers = store.database().readers(parts);  // one for each thread
  Statement counted(*readers[0], "SELECT records, next_number FROM sets WHERE id = ?");
  counted.bind(0, set.id);
  check(counted.step(), store.path(), ": the set ", set.name, " was renewed or removed meanwhile; ask again");
  const int64_t records = counted.number(0), last = counted.number(1);  // at the moment that all readers see
  counted.reset();
  std::vector<Part> list;
  for (const auto& reader : readers) list.emplace_back(*reader, set, units, most);
  parallel_for(parts, [&](int64_t i) { list[size_t(i)].scan(last * i / parts, last * (i + 1) / parts); });
  int64_t seen = 0;
  for (const Part& part : list) seen += part.count();
  check(seen == records, store.path(), " is damaged: the set ", set.name, " has ", seen, " records where ",
        records, " are counted; advface-store check says more, and a backup has what was there");
  NearestSoFar best(units.dim(0), most);
  for (const Part& part : list) best.join(part.best());
  return std::move(best).sorted();
}

std::vector<std::vector<Neighbour>> nearest_of_each(Store& store, const StoredSet& set, int64_t probes,
                                                    const ProbeThrough& through, int64_t most,
                                                    const std::function<bool()>& stop) {
  const BackendScope on_host(host_backend());
  const NoTapeScope off;
  const int64_t d = set.dimension;
  NearestSoFar best(probes, most);
  Transaction one_moment(store.database(), Transaction::Kind::read);
  Statement rows(store.database(), kRowsAndSalts, Rows::many);
  rows.bind(0, row_id(set.id, 0)).bind(1, row_id(set.id + 1, 0));
  std::vector<float> block(size_t(kOwnSpaces * d));
  std::vector<int64_t> numbers, salts;
  for (bool more = true; more;) {
    if (stop && stop()) throw Interrupted();
    numbers.clear();
    salts.clear();
    while (int64_t(numbers.size()) < kOwnSpaces && (more = rows.step())) {
      const auto row = rows.blob(1);
      check_length(row, rows.number(0), set, store.path());
      unpack_row(set.row_type, row, {block.data() + int64_t(numbers.size()) * d, size_t(d)});
      numbers.push_back(number_of_row(rows.number(0)));
      salts.push_back(rows.number(2));
      check_salt(set, store.path(), numbers.back(), rows.number(3), salts.back(), rows.number(4));
    }
    if (numbers.empty()) break;
    for (int64_t p = 0; p < probes; ++p) {
      if (stop && stop()) throw Interrupted();
      const Tensor turned = through(p, salts).on_host();
      for (size_t i = 0; i < numbers.size(); ++i) {
        const float *row = block.data() + int64_t(i) * d, *probe = turned.data<float>() + int64_t(i) * d;
        best.take(p, numbers[i],
                  inner_product(probe, row, d) * one_over_norm(row, d) * one_over_norm(probe, d));
      }
    }
  }
  return std::move(best).sorted();
}

}  // namespace advf
