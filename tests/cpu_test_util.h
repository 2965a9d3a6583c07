// For tests of the fast CPU backend: one op on it, against the f64 reference, with every instruction set.
#pragma once
#include <boost/test/unit_test.hpp>
#include <vector>

#include "tensor/cpu/cpu_backend.h"
#include "tensor/cpu/kernels.h"
#include "tensor/parallel.h"
#include "test_util.h"

namespace advf::test {

// Binds afresh (apply() would keep what it bound for another instruction set) and runs into poisoned memory.
inline std::vector<Tensor> bind_and_run_all(const OpDef& op, const Attrs& attrs,
                                            const std::vector<Tensor>& in, bool constant_weight = false,
                                            Backend& where = cpu_backend()) {
  OpCall call{&op, attrs, {}, {}};
  std::vector<View> views, constants;
  for (const Tensor& t : in) {
    call.in.push_back({t.shape(), t.dtype(), t.defined()});
    views.emplace_back(t);
    constants.emplace_back(nullptr, t.shape(), t.dtype());
  }
  op.infer(call);
  if (constant_weight) constants[1] = views[1];
  const auto bound = where.bind(call, constant_weight ? constants : std::vector<View>{});
  std::vector<Tensor> out;
  std::vector<View> out_views;
  for (const ValueInfo& v : call.out) {
    out.push_back(Tensor::full(v.shape, v.dtype == DType::i32 ? -1 : NAN, v.dtype));
    out_views.emplace_back(out.back());
  }
  // Exactly as much scratch as was asked for, so that a sanitizer sees the end of it, and full of NaN.
  const Tensor scratch = Tensor::full({int64_t(bound->scratch_bytes() + 3) / 4}, NAN);
  bound->run(views, out_views, scratch.raw());
  return out;
}
inline Tensor bind_and_run(const OpDef& op, const Attrs& attrs, const std::vector<Tensor>& in,
                           bool constant_weight = false, Backend& where = cpu_backend()) {
  return bind_and_run_all(op, attrs, in, constant_weight, where)[0];
}

inline double error_against_f64(const OpDef& op, const Attrs& attrs, const std::vector<Tensor>& in,
                                const Tensor& out) {
  BackendScope scope(backend("reference"));
  std::vector<Tensor> wide;
  for (const Tensor& t : in) {
    Tensor there = t.defined() ? t.to(backend("reference")) : t;
    wide.push_back(there.defined() && there.dtype() != DType::i32 ? there.to(DType::f64) : there);
  }
  return relative_error(out.to(backend("reference")), apply1(op, attrs, wide));
}

struct ThreadsScope {
  explicit ThreadsScope(int n) { set_num_threads(n); }
  ~ThreadsScope() { set_num_threads(0); }
};

struct Random {
  Philox rng;
  uint64_t next = 0;
  int64_t between(int64_t low, int64_t high) {
    return low + int64_t(rng.below(next++, uint64_t(high - low + 1)));
  }
};

// The i-th of some products of random sizes: depth from `least` to 100, of one in ten to `deepest`.
struct RandomProduct {
  int64_t m, n, k;
  MatmulAttrs attrs;
  std::vector<Tensor> in;
  RandomProduct(Random& r, int i, int64_t least, int64_t deepest)
      : m(r.between(1, 90)),
        n(r.between(1, 90)),
        k(r.between(least, i % 10 ? 100 : deepest)),
        attrs{r.between(0, 1) == 1, r.between(0, 1) == 1} {
    in = {randn(attrs.transpose_a ? Shape{k, m} : Shape{m, k}, uint64_t(i), DType::f32),
          randn(attrs.transpose_b ? Shape{n, k} : Shape{k, n}, uint64_t(i) + 1000, DType::f32),
          i % 2 ? randn({n}, uint64_t(i) + 2000, DType::f32) : Tensor()};
  }
  std::string name() const { return std::to_string(m) + "x" + std::to_string(k) + "x" + std::to_string(n); }
};

// f(kernels) with each instruction set that this machine runs.
template <class F>
void on_every_isa(F f) {
  const cpu::KernelTable* before = cpu::kernels();
  int seen = 0;
  for (const char* name : {"avx2", "avx512"})
    if (const cpu::KernelTable* table = cpu::kernels_named(name)) {
      cpu::set_kernels(table);
      BOOST_TEST_CONTEXT("kernels " << name) { f(); }
      ++seen;
    }
  cpu::set_kernels(before);
  if (seen == 0) BOOST_TEST_MESSAGE("SKIPPED: this machine has neither AVX2 nor AVX-512");
}

}  // namespace advf::test
