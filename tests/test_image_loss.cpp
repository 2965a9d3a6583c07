// The pass that makes one op of the protection's loss and its gradient: where it applies, where it must not,
// and that values stay what they are.
#define BOOST_TEST_MODULE image_loss
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <functional>

#include "autograd/passes.h"
#include "autograd/plan.h"
#include "tensor/ops.h"
#include "test_util.h"

using namespace advf;
using namespace advf::test;

namespace {

struct Traced {
  Tape tape{Tape::Keep::everything};
  Tensor x, base;
  std::vector<Tensor> outputs;
};
using Body = std::function<std::vector<Tensor>(Tape&, const Tensor& x, const Tensor& base)>;

Traced trace(const Shape& base, const Body& body) {
  Traced t;
  t.x = Tensor::meta({4, 3, 5, 6});
  t.base = Tensor::meta(base);
  const MetaScope meta;
  const TapeScope scope(t.tape);
  t.outputs = body(t.tape, t.x, t.base);
  t.tape = simplify(t.tape, std::vector{t.x, t.base}, t.outputs);
  t.tape = remove_dead_code(t.tape, t.outputs);
  return t;
}

std::vector<Tensor> run(const Traced& t, const Tape& tape) {
  const Tensor in[] = {t.x, t.base};
  PlanState state(compile(tape, in, t.outputs));
  state.set(0, randn(t.x.shape(), 1, DType::f32));
  state.set(1, sigmoid(randn(t.base.shape(), 2, DType::f32)));
  state.run();
  std::vector<Tensor> out;
  for (size_t i = 0; i < t.outputs.size(); ++i) out.push_back(state.get(i));
  return out;
}

int64_t count(const Tape& tape, const OpDef& op) {
  return std::count_if(tape.records().begin(), tape.records().end(),
                       [&](const Record& r) { return r.op == &op; });
}

Tensor squares(const Tensor& s, const Tensor& base) { return power(sub(s, base), 2); }
Tensor gradient(Tape& tape, const Tensor& loss, const Tensor& x) {
  return backward(tape, sum_all(loss), {x}, true)[0];
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_loss_and_its_gradient_become_one_op) {
  const Body bodies[] = {
      [](Tape& tape, const Tensor& x, const Tensor& base) {
        const Tensor distances = reduce_sum(squares(sigmoid(x), base), {1, 2, 3}, false);
        return std::vector{distances, gradient(tape, distances, x)};
      },
      // A mean, as Ascent's loss is one: its divisor goes into the scale.
      [](Tape& tape, const Tensor& x, const Tensor& base) {
        const Tensor distances = mean(squares(sigmoid(x), base), {1, 2, 3}, false);
        return std::vector{distances, gradient(tape, distances, x)};
      },
      // Nobody asks for the loss itself.
      [](Tape& tape, const Tensor& x, const Tensor& base) {
        return std::vector{gradient(tape, squares(sigmoid(x), base), x)};
      },
  };
  for (const Body& body : bodies) {
    const Traced t = trace({4, 3, 5, 6}, body);
    const Tape fused = fuse_image_loss(t.tape, t.outputs);
    BOOST_TEST(count(fused, op_image_loss) == 1);
    // The divisor of a mean stays, of the sums.
    BOOST_TEST(fused.records().size() == 1u + size_t(count(fused, op_affine)));
    BOOST_TEST(count(fused, op_affine) <= 1);
    const auto before = run(t, t.tape), after = run(t, fused);
    for (size_t i = 0; i < before.size(); ++i) BOOST_TEST(relative_error(after[i], before[i]) < 1e-6);
  }
}

BOOST_AUTO_TEST_CASE(others_stay) {
  const std::pair<const char*, Body> bodies[] = {
      {"the image is wanted too",
       [](Tape& tape, const Tensor& x, const Tensor& base) {
         const Tensor image = sigmoid(x);
         return std::vector{image, gradient(tape, squares(image, base), x)};
       }},
      {"a sum over other dimensions",
       [](Tape& tape, const Tensor& x, const Tensor& base) {
         const Tensor sums = reduce_sum(squares(sigmoid(x), base), {2, 3}, false);
         return std::vector{sums, gradient(tape, sums, x)};
       }},
      {"the difference is wanted too",
       [](Tape& tape, const Tensor& x, const Tensor& base) {
         const Tensor d = sub(sigmoid(x), base);
         return std::vector{d, gradient(tape, power(d, 2), x)};
       }},
      {"a power of four",
       [](Tape& tape, const Tensor& x, const Tensor& base) {
         const Tensor sums = reduce_sum(power(sub(sigmoid(x), base), 4), {1, 2, 3}, false);
         return std::vector{sums, gradient(tape, sums, x)};
       }},
      {"another activation",
       [](Tape& tape, const Tensor& x, const Tensor& base) {
         return std::vector{gradient(tape, squares(tanh(x), base), x)};
       }},
  };
  for (const auto& [name, body] : bodies) {
    const Traced t = trace({4, 3, 5, 6}, body);
    const Tape same = fuse_image_loss(t.tape, t.outputs);
    BOOST_TEST(count(same, op_image_loss) == 0, name);
    BOOST_TEST(same.records().size() == t.tape.records().size(), name);
  }
  const Traced repeated = trace({1, 3, 5, 6}, [](Tape& tape, const Tensor& x, const Tensor& base) {
    return std::vector{gradient(tape, squares(sigmoid(x), base), x)};
  });
  BOOST_TEST(count(fuse_image_loss(repeated.tape, repeated.outputs), op_image_loss) == 0);
}
