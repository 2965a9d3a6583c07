#include "nn/freeze.h"

#include <cmath>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tensor/backend.h"
#include "tensor/ops.h"

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

int64_t outputs_of(const Record& product) {
  const Shape& w = product.in[1].shape();
  if (product.op == &op_conv2d) return w[0];
  if (product.op == &op_conv_transpose2d) return w[1] * std::get<ConvAttrs>(product.attrs).groups;
  return product.out[0].dim(1);
}

// The output (channel, column) that an element of the weight adds to.
int64_t output_of(const Record& product, int64_t element) {
  const Shape& w = product.in[1].shape();
  if (product.op == &op_conv2d) return element / w.numel(1, 4);
  if (product.op == &op_conv_transpose2d) {  // (in, out/groups, kh, kw): the input channel names the group
    const int64_t in = element / w.numel(1, 4), row = element / w.numel(2, 4) % w[1];
    return in / (w[0] / std::get<ConvAttrs>(product.attrs).groups) * w[1] + row;
  }
  return std::get<MatmulAttrs>(product.attrs).transpose_b ? element / w[1] : element % w[1];
}

// The product with the batch norm in its weight and bias, written to `out`.
Record folded(const Record& product, const Record& norm, const Tensor& out) {
  const Tensor &weight = product.in[1], &bias = product.in[2];
  const std::vector<double> gamma = values_of(norm.in[1]), beta = values_of(norm.in[2]),
                            mean = values_of(norm.in[3]), var = values_of(norm.in[4]);
  const int64_t outputs = outputs_of(product), per_channel = outputs / int64_t(gamma.size());
  const double eps = std::get<ScalarAttrs>(norm.attrs).a;
  std::vector<double> scale(static_cast<size_t>(outputs)), b = scale, w = values_of(weight);
  if (bias.defined()) b = values_of(bias);
  for (size_t o = 0; o < scale.size(); ++o) {
    const size_t c = o / size_t(per_channel);
    scale[o] = gamma[c] / std::sqrt(var[c] + eps);
    b[o] = (b[o] - mean[c]) * scale[o] + beta[c];
  }
  for (size_t i = 0; i < w.size(); ++i) w[i] *= scale[size_t(output_of(product, int64_t(i)))];
  return {product.op,
          product.attrs,
          {product.in[0], constant(w, weight.shape(), weight), constant(b, {outputs}, weight)},
          {out}};
}

// The records from a product to the batch norm that ends it; empty where there is nothing to fold.
std::vector<size_t> foldable_chain(const Tape& tape, const Readers& uses, size_t norm) {
  const std::vector<Record>& records = tape.records();
  for (size_t i = 1; i < 5; ++i)
    if (!uses.constant(records[norm].in[i])) return {};
  std::vector<size_t> chain{norm};
  const Tensor& wanted = records[norm].in[0];
  for (Tensor x = wanted; uses.read_once(x);) {
    const size_t* at = uses.producer(x);
    if (!at) return {};
    const Record& r = records[*at];
    chain.push_back(*at);
    if (r.op->is_view) {
      x = r.in[0];
      continue;
    }
    if (r.op != &op_conv2d && r.op != &op_conv_transpose2d && r.op != &op_matmul) return {};
    if (!uses.constant(r.in[1]) || (r.in[2].defined() && !uses.constant(r.in[2]))) return {};
    // A reshape of (N, columns) may only group the columns; images must come as they are.
    const bool grouped = r.op == &op_matmul && wanted.dim(0) == r.out[0].dim(0) && wanted.dim(1) > 0;
    if (r.out[0].shape() != wanted.shape() && !grouped) return {};
    return {chain.rbegin(), chain.rend()};
  }
  return {};
}

}  // namespace

Tape fold_batch_norm(const Tape& tape, std::span<const Tensor> outputs) {
  const MetaScope real(false);
  const Readers uses(tape, outputs);
  const std::vector<Record>& records = tape.records();
  std::unordered_set<size_t> gone;
  std::unordered_map<size_t, std::vector<Record>> instead;  // of a batch norm
  for (size_t i = 0; i < records.size(); ++i) {
    if (records[i].op != &op_batch_norm_eval) continue;
    const std::vector<size_t> chain = foldable_chain(tape, uses, i);
    if (chain.empty()) continue;
    const Record &product = records[chain[0]], &norm = records[i];
    const bool direct = product.out[0].shape() == norm.out[0].shape();
    const Tensor flat = direct ? norm.out[0] : Tensor::meta(product.out[0].shape(), product.out[0].dtype());
    instead[i].push_back(folded(product, norm, flat));
    if (!direct) instead[i].push_back({&op_reshape, ShapeAttrs{norm.out[0].shape()}, {flat}, {norm.out[0]}});
    gone.insert(chain.begin(), chain.end());
  }
  Tape result(Tape::Keep::everything);
  for (size_t i = 0; i < records.size(); ++i) {
    if (!gone.contains(i)) result.record(*records[i].op, records[i].attrs, records[i].in, records[i].out);
    if (const auto found = instead.find(i); found != instead.end())
      for (const Record& r : found->second) result.record(*r.op, r.attrs, r.in, r.out);
  }
  return result;
}

}  // namespace advf
