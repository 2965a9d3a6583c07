#include "advface/store/set_scan.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>

#include "advface/core/feature_domain.h"
#include "autograd/tape.h"
#include "tensor/backend.h"
#include "tensor/ops.h"
#include "tensor/parallel.h"

namespace advf {
namespace {

constexpr int64_t kBlock = 512;       // rows that lie in a cache while they are compared
constexpr int64_t kFewProbes = 4;     // for fewer a matrix product would spend its time on packing rows
constexpr int64_t kOwnSpaces = 2048;  // records whose rotations are made at a time

const char* const kRows = "SELECT id, feature FROM features WHERE id >= ? AND id < ? ORDER BY id";
const char* const kRowsAndSalts =
    "SELECT f.id, f.feature, r.salt FROM features f JOIN records r ON r.id = f.id "
    "WHERE f.id >= ? AND f.id < ? ORDER BY f.id";

// A stored row where it lies, up to the next step; tells damage.
std::span<const std::byte> bytes_of_row(const Statement& row, const StoredSet& set, const std::string& path) {
  const auto blob = row.blob(1);
  const size_t bytes = size_t(set.row_bytes());
  check(blob.size() == bytes, path, " is damaged: record ", number_of_row(row.number(0)), " of the set ",
        set.name, " has ", blob.size(), " bytes, not ", bytes);
  return blob;
}

void copy_row(const Statement& row, const StoredSet& set, const std::string& path, float* out) {
  unpack_row(set.row_type, bytes_of_row(row, set, path), {out, size_t(set.dimension)});
}

// The same as floats; copied only where they are none, or lie at no place for some.
const float* row_values(const Statement& row, const StoredSet& set, const std::string& path,
                        std::vector<float>& copy) {
  const auto blob = bytes_of_row(row, set, path);
  if (set.row_type == RowType::f32 && reinterpret_cast<uintptr_t>(blob.data()) % alignof(float) == 0)
    return reinterpret_cast<const float*>(blob.data());
  unpack_row(set.row_type, blob, copy);
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
    Statement rows(database_, kRows, Rows::many);
    rows.bind(0, row_id(set_.id, begin)).bind(1, row_id(set_.id, end));
    if (probes_.dim(0) <= kFewProbes)
      one_by_one(rows);
    else
      in_blocks(rows);
  }
  const NearestSoFar& best() const { return best_; }

 private:
  void one_by_one(Statement& rows) {
    const int64_t d = set_.dimension, m = probes_.dim(0);
    std::vector<float> copy(static_cast<size_t>(d));
    while (rows.step()) {
      const int64_t number = number_of_row(rows.number(0));
      const float* row = row_values(rows, set_, database_.path(), copy);
      const float scale = one_over_norm(row, d);
      for (int64_t p = 0; p < m; ++p)
        best_.take(p, number, scale * inner_product(probes_.data<float>() + p * d, row, d));
    }
  }
  void in_blocks(Statement& rows) {
    const int64_t d = set_.dimension, m = probes_.dim(0);
    std::vector<int64_t> numbers;
    for (bool more = true; more;) {
      Tensor block = Tensor::zeros({kBlock, d});  // always whole, so that a row's score depends on it alone
      float* values = block.mutable_data<float>();
      numbers.clear();
      while (int64_t(numbers.size()) < kBlock && (more = rows.step())) {
        copy_row(rows, set_, database_.path(), values + int64_t(numbers.size()) * d);
        numbers.push_back(number_of_row(rows.number(0)));
      }
      normalise(values, int64_t(numbers.size()), d);
      const Tensor scores = matmul(probes_, block, {}, {.transpose_b = true});
      for (int64_t p = 0; p < m; ++p)
        for (size_t i = 0; i < numbers.size(); ++i)
          best_.take(p, numbers[i], scores.data<float>()[size_t(p) * size_t(kBlock) + i]);
    }
  }

  Database& database_;
  const StoredSet& set_;
  const Tensor& probes_;
  NearestSoFar best_;
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
  std::vector<Part> list;
  for (const auto& reader : readers) list.emplace_back(*reader, set, units, most);
  const int64_t last = set.next_number;
  parallel_for(parts, [&](int64_t i) { list[size_t(i)].scan(last * i / parts, last * (i + 1) / parts); });
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
      copy_row(rows, set, store.path(), block.data() + int64_t(numbers.size()) * d);
      numbers.push_back(number_of_row(rows.number(0)));
      salts.push_back(rows.number(2));
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
