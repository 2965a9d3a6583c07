#include "nn/freeze.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "tensor/backend.h"
#include "tensor/ops.h"
#include "tensor/parallel.h"

namespace advf {
namespace {

// Which record makes a value and how many read it.
class Readers {
 public:
  Readers(const Tape& tape, std::span<const Tensor> outputs) {
    for (size_t i = 0; i < tape.records().size(); ++i) {
      const Record& r = tape.records()[i];
      for (const Tensor& t : r.out) producer_[t.id()] = i;
      for (const Tensor& t : r.in)
        if (t.defined()) ++readers_[t.id()];
    }
    for (const Tensor& t : outputs) ++readers_[t.id()];
  }
  bool constant(const Tensor& t) const { return t.has_storage() && !producer_.contains(t.id()); }
  bool read_once(const Tensor& t) const {
    const auto found = readers_.find(t.id());
    return found != readers_.end() && found->second == 1;
  }
  const size_t* producer(const Tensor& t) const {
    const auto found = producer_.find(t.id());
    return found == producer_.end() ? nullptr : &found->second;
  }

 private:
  std::unordered_map<uint64_t, size_t> producer_;
  std::unordered_map<uint64_t, int> readers_;
};

std::vector<double> values_of(const Tensor& t) {
  return t.to(host_backend()).to(DType::f64).to_vector<double>();
}
// A constant like `like`, in its type and memory.
Tensor constant(const std::vector<double>& values, const Shape& shape, const Tensor& like) {
  const BackendScope host(host_backend());
  return Tensor::from(values, shape).to(like.dtype()).to(like.backend());
}

// Where in a product's weight an output (channel, column) is made. Every product that folds has one; the test
// that folding is complete walks the op table.
struct WeightLayout {
  int64_t outputs = 0;
  int64_t run = 1;  // so many elements of the weight, one after the other, add to the same output
  std::function<int64_t(int64_t element)> output_of;
};
std::optional<WeightLayout> layout_of(const Record& r) {
  const Shape& w = r.in.size() > 1 ? r.in[1].shape() : Shape{};
  if (r.op == &op_conv2d)
    return WeightLayout{w[0], w.numel(1, 4), [each = w.numel(1, 4)](int64_t e) { return e / each; }};
  if (r.op == &op_conv_transpose2d) {  // (in, out/groups, kh, kw): the input channel names the group
    const int64_t groups = std::get<ConvAttrs>(r.attrs).groups, channels = w[1];
    const int64_t per_channel = w.numel(2, 4), per_input = w.numel(1, 4), inputs = w[0] / groups;
    return WeightLayout{channels * groups, per_channel, [=](int64_t e) {
                          return e / per_input / inputs * channels + e / per_channel % channels;
                        }};
  }
  if (r.op == &op_matmul) {
    const int64_t columns = r.out[0].dim(1), row = w[1];
    if (std::get<MatmulAttrs>(r.attrs).transpose_b)
      return WeightLayout{columns, row, [row](int64_t e) { return e / row; }};
    return WeightLayout{columns, 1, [row](int64_t e) { return e % row; }};
  }
  return {};
}

// The weight, each element times scale(its output): in f64, rounded once.
template <class T, class Scale>
void scale_weight(const WeightLayout& layout, int64_t n, const T* from, T* to, const Scale& scale) {
  constexpr int64_t kChunk = 64 * 1024;
  const int64_t run = layout.run, runs = n / std::max<int64_t>(1, run);
  const int64_t each = std::max<int64_t>(1, kChunk / std::max<int64_t>(1, run));
  parallel_for((runs + each - 1) / each, [&](int64_t task) {
    for (int64_t r = task * each; r < std::min(runs, (task + 1) * each); ++r) {
      const double s = scale(layout.output_of(r * run));
      for (int64_t i = r * run; i < (r + 1) * run; ++i) to[i] = T(double(from[i]) * s);
    }
  });
}
template <class Scale>
Tensor scaled_weight(const WeightLayout& layout, const Tensor& weight, const Scale& scale) {
  const BackendScope host(host_backend());
  const Tensor from = weight.to(host_backend());
  Tensor to = Tensor::empty(from.shape(), from.dtype());
  if (from.dtype() == DType::f64)
    scale_weight(layout, from.numel(), from.data<double>(), to.mutable_data<double>(), scale);
  else
    scale_weight(layout, from.numel(), from.data<float>(), to.mutable_data<float>(), scale);
  return to.to(weight.backend());
}

// y = scale x + shift, per channel.
struct Scaling {
  size_t operand = 0;  // the record's input that is x
  std::vector<double> scale, shift;
};
// What a record does to its operand, if that is all it does: a batch norm with fixed statistics, or a product
// with one fixed number.
std::optional<Scaling> scaling_of(const Record& r, const Readers& uses) {
  if (r.op == &op_affine) {
    const auto& s = std::get<ScalarAttrs>(r.attrs);
    return Scaling{0, {s.a}, {s.b}};
  }
  if (r.op == &op_mul)
    for (size_t i = 0; i < 2; ++i)
      if (uses.constant(r.in[1 - i]) && r.in[1 - i].numel() == 1 && r.in[i].shape() == r.out[0].shape())
        return Scaling{i, values_of(r.in[1 - i]), {0}};
  if (r.op != &op_batch_norm_eval) return {};
  for (size_t i = 1; i < 5; ++i)
    if (!uses.constant(r.in[i])) return {};
  const std::vector<double> gamma = values_of(r.in[1]), beta = values_of(r.in[2]), mean = values_of(r.in[3]),
                            var = values_of(r.in[4]);
  Scaling s{0, std::vector<double>(gamma.size()), std::vector<double>(gamma.size())};
  for (size_t c = 0; c < gamma.size(); ++c) {
    s.scale[c] = gamma[c] / std::sqrt(var[c] + std::get<ScalarAttrs>(r.attrs).a);
    s.shift[c] = beta[c] - mean[c] * s.scale[c];
  }
  return s;
}

// The product with the scaling in its weight and bias, written to `out`.
Record folded(const Record& product, const Scaling& s, const Tensor& out) {
  const Tensor &weight = product.in[1], &bias = product.in[2];
  const WeightLayout layout = *layout_of(product);
  const int64_t outputs = layout.outputs, per_channel = outputs / int64_t(s.scale.size());
  std::vector<double> b(static_cast<size_t>(outputs), 0.0);
  if (bias.defined()) b = values_of(bias);
  const auto channel = [&](int64_t output) { return size_t(output / per_channel); };
  for (size_t o = 0; o < b.size(); ++o)
    b[o] = b[o] * s.scale[channel(int64_t(o))] + s.shift[channel(int64_t(o))];
  const Tensor w = scaled_weight(layout, weight, [&](int64_t output) { return s.scale[channel(output)]; });
  return {product.op, product.attrs, {product.in[0], w, constant(b, {outputs}, weight)}, {out}};
}

// The records from a product to the scaling that ends it; empty where there is nothing to fold.
std::vector<size_t> foldable_chain(const Tape& tape, const Readers& uses, size_t last, const Scaling& s) {
  const std::vector<Record>& records = tape.records();
  std::vector<size_t> chain{last};
  const Tensor& wanted = records[last].in[s.operand];
  for (Tensor x = wanted; uses.read_once(x);) {
    const size_t* at = uses.producer(x);
    if (!at) return {};
    const Record& r = records[*at];
    chain.push_back(*at);
    if (r.op->is_view) {
      x = r.in[0];
      continue;
    }
    if (!layout_of(r)) return {};
    if (!uses.constant(r.in[1]) || (r.in[2].defined() && !uses.constant(r.in[2]))) return {};
    // A reshape of (N, columns) may only group the columns; images must come as they are. One number for all
    // channels does not mind.
    const bool grouped = r.op == &op_matmul && wanted.dim(0) == r.out[0].dim(0) && wanted.dim(1) > 0;
    if (s.scale.size() > 1 && r.out[0].shape() != wanted.shape() && !grouped) return {};
    return {chain.rbegin(), chain.rend()};
  }
  return {};
}

// One round: a product takes over at most one scaling.
Tape fold_once(const Tape& tape, std::span<const Tensor> outputs, bool* changed) {
  const Readers uses(tape, outputs);
  const std::vector<Record>& records = tape.records();
  std::unordered_set<size_t> gone;
  std::unordered_map<size_t, std::vector<Record>> instead;  // of a scaling
  for (size_t i = 0; i < records.size(); ++i) {
    const auto scaling = scaling_of(records[i], uses);
    if (!scaling) continue;
    const std::vector<size_t> chain = foldable_chain(tape, uses, i, *scaling);
    if (chain.empty()) continue;
    const Record &product = records[chain[0]], &last = records[i];
    const bool direct = product.out[0].shape() == last.out[0].shape();
    const Tensor flat = direct ? last.out[0] : Tensor::meta(product.out[0].shape(), product.out[0].dtype());
    instead[i].push_back(folded(product, *scaling, flat));
    if (!direct) instead[i].push_back({&op_reshape, ShapeAttrs{last.out[0].shape()}, {flat}, {last.out[0]}});
    gone.insert(chain.begin(), chain.end());
    *changed = true;
  }
  Tape result(Tape::Keep::everything);
  for (size_t i = 0; i < records.size(); ++i) {
    if (!gone.contains(i)) result.record(*records[i].op, records[i].attrs, records[i].in, records[i].out);
    if (const auto found = instead.find(i); found != instead.end())
      for (const Record& r : found->second) result.record(*r.op, r.attrs, r.in, r.out);
  }
  return result;
}

}  // namespace

Tape fold_batch_norm(const Tape& tape, std::span<const Tensor> outputs) {
  const MetaScope real(false);
  bool changed = false;
  Tape result = fold_once(tape, outputs, &changed);
  while (std::exchange(changed, false)) result = fold_once(result, outputs, &changed);
  return result;
}

}  // namespace advf
