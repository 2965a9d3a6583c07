#include "nn/team.h"

#include <algorithm>
#include <chrono>

#include "tensor/hash.h"

namespace advf {
namespace {

thread_local Team* the_team = nullptr;

class Watch {
 public:
  explicit Watch(double& seconds) : seconds_(seconds), start_(std::chrono::steady_clock::now()) {}
  ~Watch() { seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }
  Watch(const Watch&) = delete;

 private:
  double& seconds_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace

TeamScope::TeamScope(Team* team) : before_(the_team) { the_team = team; }
TeamScope::~TeamScope() { the_team = before_; }
Team* current_team() { return the_team; }

void Team::timed_gather(std::span<const std::byte> mine, std::span<std::byte> all) {
  const Watch watch(seconds_);
  bytes_ += int64_t(mine.size()) * (size() - 1);
  gather(mine, all);
}

// Each rank adds up one block of all, which the others then get from it.
void Team::sum(std::span<float> values) {
  const auto ranks = size_t(size()), block = (values.size() + ranks - 1) / ranks;
  if (ranks == 1 || block == 0) return;
  in_.resize(std::max(in_.size(), block * ranks));
  const std::span<float> in = std::span(in_).first(block * ranks);
  std::span<float> out = values;
  if (values.size() != in.size()) {
    padded_.assign(in.size(), 0);
    out = padded_;
    std::ranges::copy(values, out.begin());
  }
  {
    const Watch watch(seconds_);
    bytes_ += int64_t(block * sizeof(float) * (ranks - 1));
    exchange(std::as_bytes(out), std::as_writable_bytes(in));
  }
  constexpr size_t kAtOnce = 1024;
  for (size_t begin = 0; begin < block; begin += kAtOnce) {
    double totals[kAtOnce] = {};
    const size_t n = std::min(kAtOnce, block - begin);
    for (size_t r = 0; r < ranks; ++r)
      for (size_t i = 0; i < n; ++i) totals[i] += double(in[r * block + begin + i]);
    for (size_t i = 0; i < n; ++i) in[begin + i] = float(totals[i]);
  }
  timed_gather(std::as_bytes(in.first(block)), std::as_writable_bytes(out));
  if (out.data() != values.data()) std::copy_n(out.begin(), values.size(), values.begin());
}

double Team::sum(double value) {
  std::vector<double> all(static_cast<size_t>(size()));
  timed_gather(std::as_bytes(std::span(&value, 1)), std::as_writable_bytes(std::span(all)));
  double total = 0;
  for (const double v : all) total += v;
  return total;
}

bool Team::agree(const std::string& text) {
  const uint64_t mine = fnv1a(text);
  std::vector<uint64_t> all(static_cast<size_t>(size()));
  timed_gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)));
  return std::ranges::all_of(all, [&](uint64_t other) { return other == all[0]; });
}

std::vector<size_t> Team::counts_of(size_t mine) {
  std::vector<size_t> all(static_cast<size_t>(size()));
  timed_gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)));
  return all;
}

std::pair<int64_t, int64_t> Team::share(int64_t n) const {
  return {n * rank() / size(), n * (rank() + 1) / size()};
}

}  // namespace advf
