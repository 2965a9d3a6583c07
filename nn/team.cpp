#include "nn/team.h"

#include <algorithm>
#include <chrono>

#include "tensor/backend.h"
#include "tensor/hash.h"
#include "tensor/ops/sum_in_order.h"

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
  size_t done = 0;
  for (; done + kAtOnce <= block; done += kAtOnce)
    sum_in_order<kAtOnce>(&in[done], int64_t(ranks), int64_t(block), &in[done]);
  for (; done < block; ++done) sum_in_order<1>(&in[done], int64_t(ranks), int64_t(block), &in[done]);
  timed_gather(std::as_bytes(in.first(block)), std::as_writable_bytes(out));
  if (out.data() != values.data()) std::copy_n(out.begin(), values.size(), values.begin());
}

void Team::meet(Backend& backend) {
  if (size() == 1 || backend.is_host() || asked_for_link_) return;
  asked_for_link_ = true;
  link_ = link();
}

void Team::sum(std::vector<Tensor>& tensors) {
  if (size() == 1 || tensors.empty()) return;
  if (link_ && !tensors[0].backend().is_host()) return sum_on_device(tensors);
  size_t total = 0;
  for (const Tensor& t : tensors) total += size_t(t.numel());
  const auto ranks = size_t(size()), padded = (total + ranks - 1) / ranks * ranks;
  // It only grows: between two steps' gradients come batch norm's few sums.
  tensors_.resize(std::max(tensors_.size(), padded));
  const std::span<float> all = std::span(tensors_).first(padded);
  std::ranges::fill(all.subspan(total), 0.0f);
  size_t begin = 0;
  for (const Tensor& t : tensors) {
    const Tensor host = t.on_host();
    std::copy_n(host.data<float>(), host.numel(), all.begin() + ptrdiff_t(begin));
    begin += size_t(host.numel());
  }
  sum(all);
  begin = 0;
  for (Tensor& t : tensors) {
    const auto n = size_t(t.numel());
    const BackendScope there(t.backend());
    t = Tensor::from(std::span<const float>(all).subspan(begin, n), t.shape());
    begin += n;
  }
}

void Team::sum_on_device(std::vector<Tensor>& tensors) {
  Backend& device = tensors[0].backend();
  const BackendScope there(device);
  int64_t total = 0;
  for (const Tensor& t : tensors) total += t.numel();
  const int64_t ranks = size(), block = (total + ranks - 1) / ranks;
  const size_t bytes = size_t(block) * sizeof(float);
  const Tensor out = Tensor::empty({ranks * block}), in = Tensor::empty({ranks * block});
  std::byte* end = out.raw();
  for (const Tensor& t : tensors) {
    check(t.dtype() == DType::f32, "ranks sum f32, not ", name_of(t.dtype()));
    device.copy_in(end, t.raw(), t.bytes());
    end += t.bytes();
  }
  if (const int64_t rest = ranks * block - total; rest > 0) {
    const std::vector<float> zeros(static_cast<size_t>(rest));
    device.copy_in(end, zeros.data(), zeros.size() * sizeof(float));
  }
  const Watch watch(seconds_);
  bytes_ += 2 * int64_t(bytes) * (ranks - 1);
  link_->exchange(out.raw(), in.raw(), bytes);
  auto* const sums = reinterpret_cast<float*>(in.raw());
  link_->add(sums, ranks, block, sums);
  link_->gather(sums, out.raw(), bytes);
  int64_t begin = 0;
  for (Tensor& t : tensors) {
    const int64_t n = t.numel();
    t = out.slice_batch(begin, begin + n).view(t.shape());
    begin += n;
  }
}

double Team::sum(double value) {
  double total = 0;
  for (const double v : of_each_rank(value)) total += v;
  return total;
}

bool Team::agree(const std::string& text) {
  const std::vector<uint64_t> all = of_each_rank(fnv1a(text));
  return std::ranges::all_of(all, [&](uint64_t other) { return other == all[0]; });
}

std::pair<int64_t, int64_t> Team::share(int64_t n) const {
  return {n * rank() / size(), n * (rank() + 1) / size()};
}

}  // namespace advf
