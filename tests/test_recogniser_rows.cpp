// Rows and batches of a recogniser: a row depends on its picture alone, whatever the network does with the
// batch, and has the same bits in whatever call it comes.
#define BOOST_TEST_MODULE recogniser_rows
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <functional>

#include "advface/core/recogniser.h"
#include "advface/networks/decoder_loss.h"
#include "autograd/tape.h"
#include "file_test_util.h"
#include "onnx_test_util.h"
#include "recogniser_test_util.h"
#include "tensor/ops.h"
#include "tensor/parallel.h"
#include "test_util.h"

using namespace advf;
using namespace advf::test;

// ---- a row depends on its picture alone

namespace {

// A network of five tokens per image and its embedding, with whatever `middle` makes of t (N,5,6) into u of
// the same shape. The batch is fixed at one where `batch` is 1, free where it is 0.
Recogniser with_tokens(int64_t batch, const std::function<void(OnnxBuilder&)>& middle) {
  OnnxBuilder b;
  b.input("x", {batch, 3, 4, 5})
      .output("e")
      .floats("w", {6, 3, 4, 1}, values(72, 3))
      .ints("tokens", {0, 6, 5})
      .floats("v", {6, 6}, values(36, 4))
      .node("Conv", {"x", "w"}, {"c"})
      .node("Reshape", {"c", "tokens"}, {"q"})
      .node("Transpose", {"q"}, {"t"}, {{"perm", {0, 2, 1}}});
  middle(b);
  b.ints("axis", {1}).node("ReduceSum", {"u", "axis"}, {"s"}).node("Flatten", {"s"}, {"f"});
  b.node("MatMul", {"f", "v"}, {"e"});
  return Recogniser::from_bytes(
      parse_card(with(kCard, "\"default_cut\": \"r\"", "\"default_cut\": \"e\""), "c.json"), b.bytes());
}

// Rows of any batch, with a tape and without, are those of each image alone, also through the second half.
void rows_are_their_own(const Recogniser& r) {
  const Tensor x = randn({70, 3, 4, 5}, 11, DType::f32);
  const Tensor all = r.embed(x);
  BOOST_TEST((all.shape() == Shape{70, 6}));
  for (int64_t i = 0; i < 70; i += 23)
    BOOST_TEST(relative_error(all.slice_batch(i, i + 1), r.embed(x.slice_batch(i, i + 1))) < 1e-5);
  const Tensor five = x.slice_batch(0, 5);
  Tape tape;
  {
    const TapeScope record(tape);
    const Tensor y = r.embed(five);
    BOOST_TEST(relative_error(y, all.slice_batch(0, 5)) < 1e-5);
    const Tensor g = backward(tape, std::vector<Tensor>{y}, std::vector<Tensor>{y}, {five})[0];
    BOOST_TEST((g.shape() == five.shape()));
  }
  for (const CutPoint& p : r.cut_points())
    BOOST_TEST(relative_error(r.embed_from(r.features(five, p.name), p.name), all.slice_batch(0, 5)) < 1e-5,
               p.name);
}

}  // namespace

// What spreads over the batch without depending on it: the class token of a transformer and its relatives.
BOOST_AUTO_TEST_CASE(constants_spread_over_the_batch) {
  const auto token = [](const std::string& op) {
    return with_tokens(0, [op](OnnxBuilder& b) {
      b.floats("cls", {1, 1, 6}, values(6, 5)).ints("zero", {0}).ints("tail", {1, 6}).ints("ones", {1, 1});
      b.node("Shape", {"t"}, {"shape"}).node("Gather", {"shape", "zero"}, {"n"});
      if (op == "Expand") b.node("Concat", {"n", "tail"}, {"to"}, {}, {{"axis", 0}});
      if (op == "Tile") b.node("Concat", {"n", "ones"}, {"to"}, {}, {{"axis", 0}});
      if (op == "ConstantOfShape") b.node("Concat", {"n", "tail"}, {"to"}, {}, {{"axis", 0}});
      if (op == "ConstantOfShape")
        b.node("ConstantOfShape", {"to"}, {"zeros"}).node("Add", {"zeros", "cls"}, {"many"});
      else
        b.node(op, {"cls", "to"}, {"many"});
      b.floats("m", {6, 6}, values(36, 6)).node("MatMul", {"many", "m"}, {"p"});
      b.node("Concat", {"many", "p", "t"}, {"u"}, {}, {{"axis", 1}});
    });
  };
  for (const char* op : {"Expand", "Tile", "ConstantOfShape"}) {
    BOOST_TEST_CONTEXT(op) {
      const Recogniser r = token(op);
      BOOST_TEST(r.one_at_a_time() == "");
      rows_are_their_own(r);
    }
  }
}

BOOST_AUTO_TEST_CASE(graphs_that_mix_rows_run_one_image_at_a_time) {
  const auto check_slow = [](const Recogniser& r, const std::string& node) {
    BOOST_TEST_CONTEXT(node) {
      BOOST_TEST(r.one_at_a_time().find(node) != std::string::npos, r.one_at_a_time());
      rows_are_their_own(r);
    }
  };
  // The mean over axis 0 subtracted, as a norm over the batch does; of one image alone it leaves its tokens'
  // differences to themselves, so one half stays.
  check_slow(with_tokens(0,
                         [](OnnxBuilder& b) {
                           b.node("ReduceMean", {"t"}, {"mean"}, {{"axes", {0}}});
                           b.floats("half", {}, {0.5f}).node("Mul", {"mean", "half"}, {"m"});
                           b.node("Sub", {"t", "m"}, {"u"});
                         }),
             "ReduceMean 'mean'");
  // A reshape that swallows the batch.
  check_slow(
      with_tokens(0,
                  [](OnnxBuilder& b) {
                    b.ints("flat", {-1, 1}).ints("back", {-1, 5, 6});
                    b.node("Reshape", {"t", "flat"}, {"all"}).ints("over", {0});
                    b.node("ReduceMax", {"all"}, {"top"}, {{"axes", {0}}}).node("Add", {"t", "top"}, {"u"});
                  }),
      "ReduceMax 'top'");
  // What two images do not show by their numbers: a branch that is closed for these, a share too small, rows
  // that take three images to change places.
  check_slow(with_tokens(0,
                         [](OnnxBuilder& b) {
                           b.node("ReduceMax", {"t"}, {"top"}, {{"axes", {0}}}).floats("far", {}, {1e3f});
                           b.node("Sub", {"top", "far"}, {"over"}).node("Relu", {"over"}, {"gate"});
                           b.node("Add", {"t", "gate"}, {"u"});
                         }),
             "ReduceMax 'top'");
  check_slow(
      with_tokens(0,
                  [](OnnxBuilder& b) {
                    b.node("ReduceMean", {"t"}, {"mean"}, {{"axes", {0}}}).floats("little", {}, {1e-5f});
                    b.node("Mul", {"mean", "little"}, {"m"}).node("Add", {"t", "m"}, {"u"});
                  }),
      "ReduceMean 'mean'");
  check_slow(with_tokens(0,
                         [](OnnxBuilder& b) {
                           b.ints("0", {0}).ints("2", {2}).ints("end", {1 << 30});
                           b.node("Slice", {"t", "2", "end", "0"}, {"tail"});
                           b.node("Slice", {"t", "0", "2", "0"}, {"head"});
                           b.node("Concat", {"tail", "head"}, {"u"}, {}, {{"axis", 0}});
                         }),
             "Slice 'tail'");
  // Shapes that hold for a batch of one: heads of an attention written as numbers.
  check_slow(
      with_tokens(
          1,
          [](OnnxBuilder& b) {
            b.ints("heads", {5, 2, 3}).ints("joined", {1, 5, 6}).ints("first", {0});
            b.node("Reshape", {"t", "heads"}, {"h"}).node("Transpose", {"h"}, {"g"}, {{"perm", {1, 0, 2}}});
            b.node("Transpose", {"g"}, {"k"}, {{"perm", {1, 0, 2}}});
            b.node("Reshape", {"k", "joined"}, {"u"});
          }),
      "Reshape 'h'");
}

// Images may be counted by another dimension in between.
BOOST_AUTO_TEST_CASE(tokens_first_is_no_mixing) {
  const Recogniser r = with_tokens(0, [](OnnxBuilder& b) {
    b.node("Transpose", {"t"}, {"first"}, {{"perm", {1, 0, 2}}}).floats("m", {6, 6}, values(36, 6));
    b.node("MatMul", {"first", "m"}, {"p"}).node("Transpose", {"p"}, {"u"}, {{"perm", {1, 0, 2}}});
  });
  BOOST_TEST(r.one_at_a_time() == "");
  for (const CutPoint& p : r.cut_points()) BOOST_TEST((p.name != "first" && p.name != "p"), p.name);
  rows_are_their_own(r);
}

// ---- without a tape: plans

namespace {

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

// f on rows of x, cut into calls of these sizes.
template <class F>
Tensor in_parts(const F& f, const Tensor& x, const std::vector<int64_t>& sizes) {
  std::vector<Tensor> parts;
  int64_t begin = 0;
  for (const int64_t n : sizes) {
    parts.push_back(f(x.slice_batch(begin, begin + n)));
    begin += n;
  }
  BOOST_REQUIRE_EQUAL(begin, x.dim(0));
  return concat(parts, 0);
}

// Planned results agree with those on a tape, and a row's bits do not depend on the call that brings it.
void rows_stand_alone(const Recogniser& r, const std::string& cut, const Tensor& x,
                      const std::vector<std::vector<int64_t>>& splits) {
  const auto features = [&](const Tensor& rows) { return r.features(rows, cut); };
  const Tensor z = features(x), e = r.embed(x);
  {
    Tape tape;
    const TapeScope scope(tape);
    BOOST_TEST(relative_error(z, r.features(x, cut)) < 1e-5);
    BOOST_TEST(relative_error(e, r.embed(x)) < 1e-5);
  }
  BOOST_TEST(relative_error(r.embed_from(z, cut), e) < 1e-6);
  for (const auto& sizes : splits) {
    BOOST_TEST(same_bits(in_parts(features, x, sizes), z));
    BOOST_TEST(same_bits(in_parts([&](const Tensor& rows) { return r.embed(rows); }, x, sizes), e));
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_row_has_the_same_bits_in_any_call) {
  const Recogniser r = small();
  const Tensor x = randn({77, 3, 4, 5}, 5, DType::f32);
  rows_stand_alone(r, "r", x, {{1, 76}, {13, 32, 32}, {31, 29, 17}, {64, 3, 5, 5}});
  const Tensor e = r.embed(x);
  set_num_threads(3);
  BOOST_TEST(same_bits(r.embed(x), e));
  set_num_threads(0);
  const Recogniser copy = r;  // which shares the plans
  BOOST_TEST(same_bits(copy.embed(x), e));
  BOOST_TEST((r.embed(x.slice_batch(0, 0)).shape() == Shape{0, 6}));
  refused([&] { r.features(Tensor::meta({2, 3, 4, 5}), "r"); }, {"net.onnx", "[2,3,4,5]", "no storage"});
}

BOOST_AUTO_TEST_CASE(plans_of_real_networks) {
  const std::string folder = models();
  if (folder.empty()) return;
  for (const auto& [name, cut] : {std::pair<std::string, std::string>{"facenet_casia_160", "Mixed_6a"},
                                  {"mobilefacenet_112", "output"}}) {
    const Recogniser r = Recogniser::load(folder + "/" + name + ".json");
    const auto& input = r.card().input;
    const Tensor x = r.preprocess(randn({11, 3, input.height, input.width}, 3, DType::f32));
    rows_stand_alone(r, cut, x, {{1, 10}, {7, 4}});
  }
}

// ---- what a decoder is trained against

// The identity's term runs through a plan beside the tape: of every batch its value and its gradient are
// those of the same sum on the tape, also where batches of several sizes take turns.
BOOST_AUTO_TEST_CASE(identity_term_has_the_gradient_of_the_tape) {
  const Recogniser r = small();
  const Tensor features = l2_normalise(randn({8, 6}, 21, DType::f32));
  DecoderLossSpec spec({"identity"}, {{"pixel_weight", "0"}, {"identity_weight", "0.3"}});
  spec.open(r);
  const auto term = spec.make({&r, r.card().embedding.name, FeatureRows(features)});
  uint64_t seed = 30;
  for (const std::vector<int64_t>& rows :
       std::vector<std::vector<int64_t>>{{0, 1, 2}, {7}, {5, 2, 4}, {1, 6, 3, 0, 2}, {4, 3, 7}}) {
    const int64_t n = int64_t(rows.size());
    const Tensor images = sigmoid(randn({n, 3, 6, 7}, seed++, DType::f32));
    const auto both = [&](const std::function<Tensor()>& sum) {
      Tape tape;
      Tensor loss;
      {
        const TapeScope record(tape);
        loss = sum();
      }
      return std::pair(loss.item(), backward(tape, loss, {images})[0]);
    };
    const auto [value, gradient] = both([&] { return term->loss(images, images, rows); });
    const auto [want, slope] = both([&] {
      const Tensor found = r.embed(r.preprocess(images));
      return affine(mean_all(reduce_sum(mul(found, FeatureRows(features).batch(rows)), {1}, false)), -0.3,
                    0.3);
    });
    BOOST_TEST(std::abs(value - want) < 1e-6);
    BOOST_TEST(relative_error(gradient, slope) < 1e-5);
    BOOST_TEST(std::abs(term->loss(images, images, rows).item() - want) < 1e-6);  // nobody records
  }
}
