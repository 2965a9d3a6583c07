#include "advface/store/calibration.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <set>
#include <sstream>

#include "advface/audit/metrics.h"
#include "advface/core/utc_time.h"
#include "advface/keys/signature.h"
#include "autograd/tape.h"
#include "tensor/backend.h"
#include "tensor/ops.h"

namespace advf {
namespace {

constexpr double kSame = 1e-6;  // from 1: of rounding alone
constexpr const char* kDigest = ", digest ";
constexpr int64_t kBlock = 1024;  // probes and rows that are compared at a time

size_t bin_of(double score) {
  return size_t(std::clamp(int(std::floor((score + 1) * Calibration::kBins / 2)), 0, Calibration::kBins - 1));
}

// Scores at or above the threshold, to a bin: those of its own bin are counted whole, or not at all.
int64_t at_or_above(const std::vector<int64_t>& bins, double threshold, bool with_its_own) {
  if (threshold > 1) return 0;
  const size_t own = bin_of(threshold);
  const bool on_edge = threshold <= -1 + 2 * double(own) / Calibration::kBins;
  return std::accumulate(bins.begin() + int64_t(own) + (with_its_own || on_edge ? 0 : 1), bins.end(),
                         int64_t(0));
}

int64_t sum_of(const std::vector<int64_t>& bins) {
  return std::accumulate(bins.begin(), bins.end(), int64_t(0));
}

template <class T>
std::span<const std::byte> as_blob(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

template <class T>
std::vector<T> from_blob(std::span<const std::byte> blob, const std::string& what) {
  check(blob.size() % sizeof(T) == 0, what, ": its calibration is damaged; calibrate it again");
  std::vector<T> values(blob.size() / sizeof(T));
  if (!blob.empty()) std::memcpy(values.data(), blob.data(), blob.size());
  return values;
}

// Of each probe the scores with the records before limit(probe), which does not fall, that count for it.
template <class Limit, class Counts>
Calibration score(const Tensor& stored, std::span<const int64_t> owners, const Tensor& probes,
                  std::span<const int64_t> people, const Limit& limit, const Counts& counts,
                  const std::function<bool()>& stop) {
  const BackendScope on_host(host_backend());
  const NoTapeScope off;
  const Tensor rows = l2_normalise(stored.on_host()), asked = l2_normalise(probes.on_host());
  Calibration all;
  for (int64_t p = 0; p < asked.dim(0); p += kBlock) {
    if (stop && stop()) throw Interrupted();
    const int64_t end = std::min(asked.dim(0), p + kBlock), last = limit(end - 1);
    const Tensor block = asked.slice_batch(p, end);
    for (int64_t r = 0; r < last; r += kBlock) {
      const Tensor part = rows.slice_batch(r, std::min(last, r + kBlock));
      const Tensor scores = matmul(block, part, {}, {.transpose_b = true});
      const float* values = scores.data<float>();
      for (int64_t i = 0; i < block.dim(0); ++i)
        for (int64_t j = 0; j < std::min(part.dim(0), limit(p + i) - r); ++j) {
          if (!counts(r + j, p + i)) continue;
          const float score = values[i * part.dim(0) + j];
          if (people[size_t(p + i)] != owners[size_t(r + j)])
            all.add_impostor(score);
          else
            all.add_genuine(score);
        }
    }
  }
  all.finish();
  all.created = utc_now();
  all.people = int64_t(std::set<int64_t>(people.begin(), people.end()).size());
  return all;
}

}  // namespace

void Calibration::add_impostor(float score) {
  ++impostors_;
  ++impostor_bins_[bin_of(score)];
  // Kept in bounds: when there are twice as many as are kept, the lower half goes.
  if (highest_.size() >= 2 * kKept) finish();
  highest_.push_back(score);
}

void Calibration::add_genuine(float score) {
  ++genuine_;
  ++genuine_bins_[bin_of(score)];
}

void Calibration::finish() {
  if (highest_.size() > kKept) {
    std::nth_element(highest_.begin(), highest_.begin() + int64_t(kKept), highest_.end(), std::greater<>());
    highest_.resize(kKept);
  }
  std::sort(highest_.begin(), highest_.end(), std::greater<>());
}

double Calibration::false_match_rate(double at) const {
  if (impostors_ == 0) return 1;
  const bool all_kept = int64_t(highest_.size()) == impostors_;
  if (all_kept || (!highest_.empty() && at > double(highest_.back()))) {
    const auto below =
        std::find_if(highest_.begin(), highest_.end(), [&](float s) { return double(s) < at; });
    return double(below - highest_.begin()) / double(impostors_);
  }
  return double(at_or_above(impostor_bins_, at, true)) / double(impostors_);
}

std::optional<double> Calibration::true_match_rate(double at) const {
  if (genuine_ == 0) return {};
  return double(at_or_above(genuine_bins_, at, false)) / double(genuine_);
}

double Calibration::threshold_at(double rate) const {
  check(rate > 0 && rate < 1, "a false match rate is between 0 and 1, not ", rate);
  const int64_t allowed = allowed_matches(rate, impostors_);
  check(allowed >= kFewest, "the calibration has ", impostors_, " impostor scores of ", people,
        " people, which say nothing of a false match rate below ", lowest_rate(), " (asked for: ", rate,
        "); ask for that, or calibrate with more people");
  if (allowed < int64_t(highest_.size())) {
    const double at =
        std::nextafter(double(highest_[size_t(allowed)]), std::numeric_limits<double>::infinity());
    check(at < 1 - kSame, "no score reaches a threshold at which the false match rate is ", rate,
          ": too many pairs of different people have the same feature");
    return at;
  }
  int64_t count = 0;
  for (size_t b = impostor_bins_.size(); b-- > 0;) {
    count += impostor_bins_[b];
    if (count > allowed) return -1 + 2 * double(b + 1) / kBins;
  }
  return -1;
}

std::string Calibration::digest() const {
  // Whole numbers and texts line by line, what is measured to its last bit.
  std::ostringstream text;
  text << created << "\n"
       << source << "\n"
       << people << "\n"
       << mean_of << "\n"
       << std::hexfloat << threshold;
  for (const float score : highest_) text << "\n" << score;
  for (const std::vector<int64_t>& bins : {impostor_bins_, genuine_bins_})
    for (const int64_t count : bins) text << "\n" << count;
  const std::string all = text.str();
  return advf::digest(std::as_bytes(std::span(all)));
}

void Calibration::write(Store& store, const StoredSet& set) const {
  Transaction all(store.database());
  Statement former(store.database(), "DELETE FROM calibrations WHERE set_id = ?");
  former.bind(0, set.id).run();
  Statement put(store.database(),
                "INSERT INTO calibrations(set_id, created, source, people, threshold, impostors, highest, "
                "impostor_bins, genuine, genuine_bins, mean_of) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  put.bind(0, set.id).bind(1, created).bind(2, source).bind(3, people).bind(4, threshold);
  put.bind(5, impostors_).bind(6, as_blob(highest_)).bind(7, as_blob(impostor_bins_));
  put.bind(8, genuine_).bind(9, as_blob(genuine_bins_)).bind(10, mean_of).run();
  store.tell("calibrate", set.name,
             std::to_string(impostors_) + " impostor scores of " + std::to_string(people) + " people" +
                 (mean_of > 1 ? ", records of up to " + std::to_string(mean_of) + " photographs" : "") +
                 kDigest + digest());
  all.commit();
}

std::string Calibration::problem(Store& store, const StoredSet& set) {
  std::optional<Calibration> c;
  try {
    c = read(store, set);
  } catch (const Error& e) {
    return e.what();
  }
  if (!c) return "";
  Statement told(store.database(), "SELECT detail FROM events WHERE what = 'calibrate' AND set_name = ?");
  told.bind(0, set.name);
  const std::string own = c->digest(), type = own.substr(0, own.find(':'));
  while (told.step()) {
    const std::string detail = told.text(0);
    const size_t at = detail.rfind(kDigest);
    // Older events tell none, and those of a build with or without keys another.
    if (at == std::string::npos || detail.compare(at + std::strlen(kDigest), type.size(), type) != 0 ||
        detail.substr(at + std::strlen(kDigest)) == own)
      return "";
  }
  return store.path() + ": set " + set.name +
         ": no event tells of the calibration that it has; calibrate it again";
}

std::optional<Calibration> Calibration::read(Store& store, const StoredSet& set) {
  Statement row(store.database(),
                "SELECT created, source, people, threshold, impostors, highest, impostor_bins, genuine, "
                "genuine_bins, mean_of FROM calibrations WHERE set_id = ?");
  row.bind(0, set.id);
  if (!row.step()) return {};
  const std::string what = store.path() + ": set " + set.name;
  Calibration c;
  c.created = row.text(0);
  c.source = row.text(1);
  c.people = row.number(2);
  c.threshold = row.real(3);
  c.impostors_ = row.number(4);
  c.highest_ = from_blob<float>(row.blob(5), what);
  c.impostor_bins_ = from_blob<int64_t>(row.blob(6), what);
  c.genuine_ = row.number(7);
  c.genuine_bins_ = from_blob<int64_t>(row.blob(8), what);
  c.mean_of = row.number(9);
  check(c.mean_of > 0 && c.impostors_ > 0 && c.genuine_ >= 0 && int64_t(c.highest_.size()) <= c.impostors_ &&
            c.impostor_bins_.size() == size_t(kBins) && c.genuine_bins_.size() == size_t(kBins) &&
            sum_of(c.impostor_bins_) == c.impostors_ && sum_of(c.genuine_bins_) == c.genuine_ &&
            std::is_sorted(c.highest_.rbegin(), c.highest_.rend()),
        what, ": its calibration is damaged; calibrate it again");
  return c;
}

Calibration score_all_pairs(const Tensor& stored, const Tensor& probes, std::span<const int64_t> people,
                            const std::function<bool()>& stop) {
  // Each pair once, the later one as the probe.
  return score(
      stored, people, probes, people, [](int64_t probe) { return probe; },
      [](int64_t, int64_t) { return true; }, stop);
}

Calibration score_records(const RecordsAndProbes& of, const std::function<bool()>& stop) {
  const int64_t records = of.stored.dim(0);
  return score(
      of.stored, of.owners, of.probes, of.people, [&](int64_t) { return records; },
      [&](int64_t record, int64_t probe) { return of.part_of[size_t(probe)] != record; }, stop);
}

}  // namespace advf
