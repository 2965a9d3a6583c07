// The tape and backward(): which gradients come out, what is kept and freed, what is refused. The gradient
// rules themselves are tested op by op in test_ops.cpp.
#define BOOST_TEST_MODULE tape
#include <boost/test/unit_test.hpp>

#include "autograd/gradcheck.h"
#include "autograd/tape.h"
#include "tensor/ops.h"
#include "tensor/reference/reference_backend.h"
#include "test_util.h"

using namespace advf;
using namespace advf::test;

namespace {

using Values = std::vector<double>;

Tensor vec(const Values& v) { return Tensor::from(v, {int64_t(v.size())}); }
Values val(const Tensor& t) { return t.to_vector<double>(); }

// f recorded, then backward from a cotangent of ones.
template <class F>
std::vector<Tensor> grad(F f, const std::vector<Tensor>& wrt) {
  Tape tape;
  Tensor y;
  {
    TapeScope scope(tape);
    y = f();
  }
  const Tensor one = Tensor::full(y.shape(), 1, y.dtype());
  return backward(tape, std::span(&y, 1), std::span(&one, 1), wrt);
}

// The reference backend with a count of the bytes in use.
class CountingBackend : public Backend {
 public:
  const char* name() const override { return "counting"; }
  bool is_host() const override { return true; }
  std::byte* alloc(size_t bytes) override {
    live += int64_t(bytes);
    return reference_backend().alloc(bytes);
  }
  void free(std::byte* data, size_t bytes) override {
    live -= int64_t(bytes);
    reference_backend().free(data, bytes);
  }
  void copy_in(void* device, const void* host, size_t bytes) override {
    reference_backend().copy_in(device, host, bytes);
  }
  void copy_out(void* host, const void* device, size_t bytes) override {
    reference_backend().copy_out(host, device, bytes);
  }
  void sync() override {}
  std::unique_ptr<BoundOp> bind(const OpCall& call, std::span<const View>) override {
    return bind_reference(call);
  }

  int64_t live = 0;
};
CountingBackend& counting() {
  static CountingBackend& instance = *new CountingBackend;  // bound ops in caches may outlive main
  return instance;
}

template <class F>
std::string error_of(F f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

struct OnReference {
  BackendScope scope{backend("reference")};
};

}  // namespace

BOOST_TEST_GLOBAL_FIXTURE(OnReference);

BOOST_AUTO_TEST_CASE(a_diamond_adds_both_paths) {
  // y = x^2 * 3x = 3x^3
  const Tensor x = vec({1, -2});
  const auto g = grad([&] { return mul(mul(x, x), affine(x, 3, 0)); }, {x});
  BOOST_TEST(val(g[0]) == (Values{9, 36}));
}

BOOST_AUTO_TEST_CASE(one_tensor_used_many_times) {
  const Tensor x = vec({2, 5});
  BOOST_TEST(val(grad([&] { return add(x, x); }, {x})[0]) == (Values{2, 2}));
  BOOST_TEST(val(grad([&] { return mul(mul(x, x), mul(x, x)); }, {x})[0]) == (Values{32, 500}));
  BOOST_TEST(val(grad([&] { return add(add(x, affine(x, 2, 0)), affine(x, 4, 0)); }, {x})[0]) ==
             (Values{7, 7}));
}

BOOST_AUTO_TEST_CASE(the_same_tensor_wanted_twice) {
  const Tensor x = vec({2});
  const auto g = grad([&] { return mul(x, x); }, {x, x});
  BOOST_TEST(val(g[0]) == Values{4});
  BOOST_TEST(val(g[1]) == Values{4});
}

BOOST_AUTO_TEST_CASE(intermediate_values_have_gradients) {
  const Tensor x = vec({3}), one = vec({1});
  Tape tape;
  Tensor h, y;
  {
    TapeScope scope(tape);
    h = mul(x, x);
    y = mul(h, x);
  }
  const auto g = backward(tape, std::span(&y, 1), std::span(&one, 1), {x, h});
  BOOST_TEST(val(g[0]) == Values{27});
  BOOST_TEST(val(g[1]) == Values{3});
}

BOOST_AUTO_TEST_CASE(unused_outputs_and_unwanted_inputs_cost_nothing) {
  const Tensor x = vec({1, 2}), w = vec({3, 4});
  Tape tape;
  Tensor y;
  {
    TapeScope scope(tape);
    y = mul(x, w);
    sign(x);          // on no path to y: its missing gradient rule is never asked for
    affine(y, 2, 0);  // unused
  }
  const Tensor one = vec({1, 1});
  const auto g = backward(tape, std::span(&y, 1), std::span(&one, 1), {x});
  BOOST_TEST(val(g[0]) == val(w));
}

BOOST_AUTO_TEST_CASE(several_outputs_with_cotangents_of_their_own) {
  const Tensor x = vec({1, 2});
  Tape tape;
  std::vector<Tensor> y;
  {
    TapeScope scope(tape);
    y = {affine(x, 2, 0), mul(x, x)};
  }
  const std::vector<Tensor> c{vec({1, 10}), vec({100, 1000})};
  BOOST_TEST(val(backward(tape, y, c, {x})[0]) == (Values{2 + 200, 20 + 4000}));
}

BOOST_AUTO_TEST_CASE(one_output_twice_and_an_output_that_is_wanted) {
  const Tensor x = vec({5});
  Tape tape;
  std::vector<Tensor> y;
  {
    TapeScope scope(tape);
    const Tensor h = affine(x, 3, 0);
    y = {h, h};
  }
  const auto g = backward(tape, y, std::vector<Tensor>{vec({1}), vec({2})}, {x, y[0]});
  BOOST_TEST(val(g[0]) == Values{9});
  BOOST_TEST(val(g[1]) == Values{3});
}

BOOST_AUTO_TEST_CASE(zeros_where_no_path_leads) {
  const Tensor x = vec({1, 2}), other = Tensor::zeros({3, 2}, DType::f64);
  const auto g = grad([&] { return mul(x, x); }, {x, other});
  BOOST_TEST(g[1].shape() == Shape({3, 2}));
  BOOST_TEST(val(g[1]) == Values(6, 0.0));
  BOOST_TEST((g[1].dtype() == DType::f64));
}

BOOST_AUTO_TEST_CASE(scopes_nest_and_restore) {
  const Tensor x = vec({1});
  Tape outer, inner;
  {
    TapeScope a(outer);
    mul(x, x);
    {
      TapeScope b(inner);
      add(x, x);
    }
    {
      NoTapeScope none;
      BOOST_TEST(current_recorder() == nullptr);
      sub(x, x);
    }
    div(x, x);
  }
  add(x, x);
  BOOST_TEST(current_recorder() == nullptr);
  BOOST_REQUIRE_EQUAL(outer.records().size(), 2u);
  BOOST_TEST(outer.records()[0].op->name == "mul");
  BOOST_TEST(outer.records()[1].op->name == "div");
  BOOST_TEST(inner.records().size() == 1u);
}

BOOST_AUTO_TEST_CASE(what_is_computed_without_a_tape_is_a_constant) {
  const Tensor x = vec({3});
  const auto g = grad(
      [&] {
        Tensor c;
        {
          NoTapeScope none;
          c = mul(x, x);
        }
        return mul(c, x);
      },
      {x});
  BOOST_TEST(val(g[0]) == Values{9});
}

// relu reads its output alone and affine nothing: of x -> affine -> relu -> affine the tape keeps one value.
BOOST_AUTO_TEST_CASE(values_that_no_gradient_reads_are_freed) {
  const BackendScope scope(counting());
  const int64_t n = 4096, size = n * int64_t(sizeof(double));
  const int64_t start = counting().live;
  Tensor x = Tensor::full({n}, -1, DType::f64);
  const Tensor keep = x.dropped();
  auto run = [&](Tape& tape) {
    TapeScope record(tape);
    return affine(relu(affine(x, -2, 1)), 5, 0);
  };
  {
    Tape tape;
    Tensor y = run(tape);
    BOOST_TEST(counting().live - start == 3 * size);  // x and y are ours, the relu's output is the tape's
    x = {};
    y = {};
    BOOST_TEST(counting().live - start == size);
    BOOST_TEST(!tape.records()[0].in[0].has_storage());
    BOOST_TEST(tape.records()[1].out[0].has_storage());
    tape.clear();
    BOOST_TEST(counting().live == start);
  }
  x = Tensor::full({n}, -1, DType::f64);
  {
    Tape tape(Tape::Keep::everything);
    Tensor y = run(tape);
    BOOST_TEST(counting().live - start == 4 * size);
  }
  // And the gradient of what was dropped is still there, by id.
  Tape tape;
  Tensor y = run(tape);
  const Tensor one = Tensor::full({n}, 1, DType::f64), wrt = x.dropped();
  x = {};
  const auto g = backward(tape, std::span(&y, 1), std::span(&one, 1), {wrt});
  BOOST_TEST(val(g[0])[17] == -10);
}

// Activations go as backward() passes them: the peak is the tape plus a few cotangents, and nothing stays.
BOOST_AUTO_TEST_CASE(backward_frees_the_tape) {
  const BackendScope scope(counting());
  const int64_t n = 4096, size = n * int64_t(sizeof(double)), start = counting().live;
  const Tensor x = Tensor::full({n}, 0.5, DType::f64);
  Tape tape;
  Tensor y;
  {
    TapeScope record(tape);
    y = x;
    for (int i = 0; i < 10; ++i) y = relu(affine(y, 1.01, 0));
  }
  BOOST_TEST(counting().live - start == 11 * size);
  const Tensor one = Tensor::full({n}, 1, DType::f64);
  const auto kept = backward(tape, std::span(&y, 1), std::span(&one, 1), {x}, true);
  BOOST_TEST(tape.records().size() == 20u);
  BOOST_TEST(counting().live - start == 13 * size);  // and the cotangent and the gradient
  const auto freed = backward(tape, std::span(&y, 1), std::span(&one, 1), {x});
  BOOST_TEST(tape.records().empty());
  BOOST_TEST(counting().live - start == 5 * size);  // x, y, the cotangent, two gradients
  BOOST_TEST(val(kept[0]) == val(freed[0]));
}

BOOST_AUTO_TEST_CASE(a_missing_rule_names_the_op) {
  const Tensor x = vec({1, 2});
  const std::string error = error_of([&] { grad([&] { return mul(sign(x), x); }, {x}); });
  BOOST_TEST(error.find("sign") != std::string::npos, error);
  // batch_norm_eval has no gradient for its running statistics.
  const Tensor image = randn({4, 2}, 1), mean = vec({0, 0}), var = vec({1, 1});
  const std::string second =
      error_of([&] { grad([&] { return batch_norm_eval(image, var, mean, mean, var, 1e-5); }, {var}); });
  BOOST_TEST(second.find("batch_norm_eval") != std::string::npos, second);
}

BOOST_AUTO_TEST_CASE(wrong_cotangents_are_refused) {
  const Tensor x = vec({1, 2});
  Tape tape;
  Tensor y;
  {
    TapeScope scope(tape);
    y = mul(x, x);
  }
  const Tensor bad = vec({1, 2, 3});
  const std::string shape =
      error_of([&] { backward(tape, std::span(&y, 1), std::span(&bad, 1), {x}, true); });
  BOOST_TEST(shape.find("[3]") != std::string::npos, shape);
  BOOST_TEST(error_of([&] { backward(tape, y, {x}, true); }).find("one number") != std::string::npos);
  BOOST_TEST(!error_of([&] { backward(tape, std::span(&y, 1), {}, {x}, true); }).empty());
}

BOOST_AUTO_TEST_CASE(second_derivatives_by_recording_the_gradient) {
  const Tensor x = vec({2, 3});
  Tape tape;
  TapeScope scope(tape);
  const Tensor y = sum_all(mul(mul(x, x), x));  // x^3
  const auto first = backward(tape, y, {x}, true);
  const auto second = backward(tape, sum_all(first[0]), {x}, true);
  BOOST_TEST(val(first[0]) == (Values{12, 27}));
  BOOST_TEST(val(second[0]) == (Values{12, 18}));
}

BOOST_AUTO_TEST_CASE(a_view_passes_gradients_through) {
  const Tensor x = vec({1, 2, 3, 4, 5, 6});
  const auto g = grad([&] { return mul(reshape(x, {2, 3}), reshape(x, {2, 3})); }, {x});
  BOOST_TEST(val(g[0]) == (Values{2, 4, 6, 8, 10, 12}));
}

namespace {
// Two layers, a residual path and a loss: (x, w1, b1, w2, b2) -> loss and logits.
std::vector<Tensor> mlp(const std::vector<Tensor>& in) {
  const Tensor h = tanh(linear(in[0], in[1], in[2]));
  const Tensor logits = add(linear(h, in[3], in[4]), slice(in[0], 1, 0, 3));
  return {softmax_cross_entropy(logits, Tensor::from(std::vector<int32_t>{0, 2, 1, 1, 0}, {5})), logits};
}
std::vector<Tensor> mlp_inputs() {
  return {randn({5, 4}, 1), randn({8, 4}, 2), randn({8}, 3), randn({3, 8}, 4), randn({3}, 5)};
}
}  // namespace

BOOST_AUTO_TEST_CASE(a_network_by_central_differences) {
  const double error = gradient_error(mlp, mlp_inputs(), std::vector<bool>(5, true), 11);
  BOOST_TEST(error < 1e-7, error);
}

BOOST_AUTO_TEST_CASE(same_bits_in_every_run) {
  for (const char* device : {"reference", "cpu"}) {
    const BackendScope scope(backend(device));
    std::vector<std::vector<float>> runs;
    for (int run = 0; run < 3; ++run) {
      const std::vector<Tensor> in = to_dtype(mlp_inputs(), DType::f32);
      Tape tape;
      Tensor loss;
      {
        TapeScope record(tape);
        loss = mlp(in)[0];
      }
      std::vector<float> all{float(loss.item())};
      for (const Tensor& g : backward(tape, loss, in))
        for (const float v : g.to_vector<float>()) all.push_back(v);
      runs.push_back(all);
    }
    BOOST_TEST(runs[0] == runs[1]);
    BOOST_TEST(runs[0] == runs[2]);
  }
}
