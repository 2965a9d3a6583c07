#include <algorithm>
#include <cmath>

#include "autograd/tape.h"
#include "lib/arrays.h"
#include "lib/call.h"
#include "lib/matches.h"
#include "lib/objects.h"
#include "tensor/backend.h"
#include "tensor/ops.h"

namespace advf::lib {
namespace {

constexpr int64_t kRecordsAtOnce = 2048;  // that are compared at a time
constexpr int64_t kTurnedAtOnce = 1024;   // enough for all threads, and a part of a second
constexpr int64_t kProbesAtOnce = 64;     // between two looks at whether to stop

std::span<const float> row_of(const Tensor& rows, int64_t i) {
  const size_t d = size_t(rows.dim(1));
  return {rows.data<float>() + size_t(i) * d, d};
}

// Rows whose inner products are cosines: themselves where they are unit vectors to rounding.
Tensor unit_rows(const Tensor& rows) {
  constexpr double kRounding = 1e-6;
  for (int64_t i = 0; i < rows.dim(0); ++i) {
    if (std::abs(norm(row_of(rows, i)) - 1) <= kRounding) continue;
    const BackendScope on_host(host_backend());
    const NoTapeScope off;
    return l2_normalise(rows);
  }
  return rows;
}

// What is compared: rows as they are stored, and probes, raw where a protection says how they are turned.
struct Sides {
  std::shared_ptr<ProtectionObject> protection;  // null: both are compared as they are
  Tensor stored, probes;
  std::vector<int64_t> records;

  bool turns_each() const { return protection && protection->separates_records; }
};

Sides sides_of(const advface_protection* protection, const advface_array* stored,
               const advface_array* records, const advface_array* probes) {
  Sides s;
  s.protection = held_or_none(protection);
  if (!s.protection) {
    check_argument(!records, "records are for a protection, and none is given");
    s.stored = read_rows_of_rank(stored, "stored", 1);
    s.probes = read_rows(probes, "probes", {s.stored.dim(1)});
  } else {
    const ProtectionChain& chain = *s.protection->chain;
    check_argument(chain.out().row.rank() == 1 && chain.in().row.rank() == 1, "features of shape ",
                   chain.in().row, " are maps, of which cosines say nothing");
    s.stored = read_rows(stored, "stored", chain.out().row);
    s.probes = read_rows(probes, "probes", chain.in().row);
    check_rows(s.probes, chain.in().domain, "probes");
  }
  check_argument(
      records || !s.turns_each(),
      "records: none are given, but a probe looks another way to each record, by its number; give the "
      "numbers that the stored rows were protected with");
  check_rows(s.stored, FeatureDomain::real, "stored");
  check_rows(s.probes, FeatureDomain::real, "probes");
  s.records = read_records(records, s.stored.dim(0), false);
  return s;
}

std::vector<std::vector<Neighbour>> nearest_of_each(const Sides& s, int64_t most, Control& control) {
  const int64_t n = s.stored.dim(0), d = s.stored.dim(1);
  NearestSoFar best(s.probes.dim(0), most);
  for (int64_t begin = 0; begin < n; begin += kRecordsAtOnce) {
    const int64_t end = std::min(n, begin + kRecordsAtOnce);
    const auto numbers = std::span(s.records).subspan(size_t(begin), size_t(end - begin));
    for (int64_t p = 0; p < s.probes.dim(0); ++p) {
      control.check_stop();
      const FeatureRows one(s.probes);
      const Tensor turned =
          s.protection->turned(one.at(std::vector<int64_t>(numbers.size(), p)), numbers, control);
      for (int64_t i = begin; i < end; ++i) {
        const std::span<const float> row = row_of(s.stored, i), probe = row_of(turned, i - begin);
        const float lengths = std::sqrt(inner_product(row.data(), row.data(), d) *
                                        inner_product(probe.data(), probe.data(), d));
        best.take(p, i, lengths > 0 ? inner_product(row.data(), probe.data(), d) / lengths : 0);
      }
    }
  }
  return std::move(best).sorted();
}

std::vector<std::vector<Neighbour>> nearest(const Sides& s, int64_t most, Control& control) {
  if (s.turns_each()) return nearest_of_each(s, most, control);
  Tensor probes = s.probes;
  if (s.protection && probes.dim(0) > 0)
    probes = s.protection->turned(probes, std::vector<int64_t>(size_t(probes.dim(0)), 0), control);
  probes = unit_rows(probes);
  const Tensor stored = unit_rows(s.stored);
  std::vector<std::vector<Neighbour>> all;
  for (int64_t begin = 0; begin < probes.dim(0); begin += kProbesAtOnce) {
    control.check_stop();
    const int64_t end = std::min(probes.dim(0), begin + kProbesAtOnce);
    for (auto& found : nearest_rows(stored, probes.slice_batch(begin, end), most))
      all.push_back(std::move(found));
  }
  return all;
}

}  // namespace

Tensor turn_some_at_a_time(int64_t n, Control& control,
                           const std::function<Tensor(int64_t begin, int64_t end)>& turn) {
  const NoTapeScope off;
  return collect_rows(n, kTurnedAtOnce, [&](int64_t begin, int64_t end) {
    control.check_stop();
    return turn(begin, end).on_host();
  });
}

void give_neighbours(const std::vector<std::vector<Neighbour>>& found, int64_t most, int64_t* rows,
                     float* scores) {
  for (const auto& of_probe : found)
    for (int64_t k = 0; k < most; ++k) {
      const bool there = k < int64_t(of_probe.size());
      *rows++ = there ? of_probe[size_t(k)].row : -1;
      *scores++ = there ? of_probe[size_t(k)].score : -2;
    }
}

int64_t places_of(const advface_array* rows, const char* what, int64_t probes) {
  const Shape shape = shape_of(rows, what);
  check_argument(shape.rank() == 2 && shape[0] == probes && shape[1] >= 1 && shape[1] <= 10000, what,
                 ": is of shape ", shape, ", but (", probes, ", K) with K from 1 to 10000 is written");
  return shape[1];
}

}  // namespace advf::lib

using namespace advf;
using namespace advf::lib;

advface_status advface_score(const advface_protection* protection, const advface_array* stored,
                             const advface_array* records, const advface_array* probes,
                             const advface_control* control, advface_array* scores, advface_error** error) {
  return guarded(error, [&] {
    Control asked(control);
    const Sides s = sides_of(protection, stored, records, probes);
    const int64_t n = s.stored.dim(0);
    check_argument(s.probes.dim(0) == n, "1:1 takes a probe for each stored row, not ", s.probes.dim(0),
                   " for ", n);
    double* out = written_f64(scores, "scores", {n});
    check_apart(stored, scores, false);
    check_apart(probes, scores, false);
    if (n == 0) return;
    const Tensor turned = s.protection ? s.protection->turned(s.probes, s.records, asked) : s.probes;
    for (int64_t i = 0; i < n; ++i) out[i] = cosine(row_of(turned, i), row_of(s.stored, i));
  });
}

advface_status advface_nearest(const advface_protection* protection, const advface_array* stored,
                               const advface_array* records, const advface_array* probes,
                               const advface_control* control, advface_array* rows, advface_array* scores,
                               advface_error** error) {
  return guarded(error, [&] {
    const Sides s = sides_of(protection, stored, records, probes);
    Control asked(control);
    const int64_t m = s.probes.dim(0), most = places_of(rows, "rows", m);
    int64_t* numbers = written_i64(rows, "rows", {m, most});
    float* values = written_f32(scores, "scores", {m, most});
    for (const advface_array* out : {rows, scores})
      for (const advface_array* in : {stored, probes, records}) check_apart(in, out, false);
    check_apart(rows, scores, false);
    if (m > 0) give_neighbours(nearest(s, most, asked), most, numbers, values);
  });
}
