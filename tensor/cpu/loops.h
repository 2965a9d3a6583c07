// Helpers of the fast ops that are bound by memory: a bound op from a lambda, and loops in chunks of fixed
// size.
#pragma once
#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "tensor/backend.h"
#include "tensor/parallel.h"

namespace advf::cpu {

using Views = std::span<const View>;

template <class F>
class LambdaOp : public BoundOp {
 public:
  LambdaOp(F f, size_t scratch) : f_(std::move(f)), scratch_(scratch) {}
  size_t scratch_bytes() const override { return scratch_; }
  void run(Views in, Views out, void* scratch) const override { f_(in, out, scratch); }

 private:
  F f_;
  size_t scratch_;
};
// f(in, out, scratch)
template <class F>
std::unique_ptr<BoundOp> make_op(F f, size_t scratch = 0) {
  return std::make_unique<LambdaOp<F>>(std::move(f), scratch);
}

// Elements that one task takes: enough to outweigh handing it out. The same for any number of threads.
constexpr int64_t kChunk = 16 * 1024;

// body(begin, end) over [0, n) in chunks of `chunk`.
template <class F>
void parallel_chunks(int64_t n, int64_t chunk, const F& body) {
  const int64_t tasks = (n + chunk - 1) / chunk;
  parallel_for(tasks, [&](int64_t t) { body(t * chunk, std::min(n, (t + 1) * chunk)); });
}
// body(row) over rows of `cost` elements each, several rows to a task where they are short.
template <class F>
void parallel_rows(int64_t rows, int64_t cost, const F& body) {
  parallel_chunks(rows, std::max<int64_t>(1, kChunk / std::max<int64_t>(1, cost)),
                  [&](int64_t begin, int64_t end) {
                    for (int64_t r = begin; r < end; ++r) body(r);
                  });
}

}  // namespace advf::cpu
