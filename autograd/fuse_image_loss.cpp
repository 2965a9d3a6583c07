#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "autograd/passes.h"

namespace advf {
namespace {

// The records of one loss: s = sigmoid(x), d = s - base, g = sigmoid_grad(s, a d), where a may be the product
// of several scales (of the square's gradient, of a mean); and, where they are there, p = d^2, sums =
// reduce_sum(p) over all but the first dimension.
struct Loss {
  size_t sigmoid, difference, gradient;
  std::vector<size_t> scales;  // the first one reads d
  double scale;
  std::optional<size_t> square, sum;
};

class LossFinder {
 public:
  LossFinder(std::span<const Record> records, std::span<const Tensor> outputs) : records_(records) {
    for (size_t i = 0; i < records.size(); ++i) {
      const Record& r = records[i];
      if (r.op->is_view) {
        source_[r.out[0].id()] = value_of(r.in[0]);
        continue;
      }
      for (const Tensor& t : r.in)
        if (t.defined()) readers_[value_of(t)].push_back(i);
      producer_[r.out[0].id()] = i;
    }
    for (const Tensor& t : outputs) readers_[value_of(t)].push_back(records.size());  // the caller
  }

  // What a tensor is a view of: simplify() leaves views where an op had no effect.
  uint64_t value_of(const Tensor& t) const {
    const auto found = source_.find(t.id());
    return found == source_.end() ? t.id() : found->second;
  }

  std::optional<Loss> at(size_t i) const {
    const Record& g = records_[i];
    if (g.op != &op_sigmoid_grad) return {};
    const auto sigmoid = made_by(g.in[0], op_sigmoid);
    std::vector<size_t> scales;
    double factor = 1;
    Tensor scaled = g.in[1];
    size_t reader = i;
    while (const auto scale = made_by(scaled, op_affine)) {
      const auto& a = std::get<ScalarAttrs>(records_[*scale].attrs);
      if (a.b != 0 || read_by(scaled) != std::vector{reader}) return {};
      scales.insert(scales.begin(), *scale);
      factor *= a.a;
      scaled = records_[*scale].in[0];
      reader = *scale;
    }
    const auto difference = made_by(scaled, op_sub);
    if (!sigmoid || scales.empty() || !difference) return {};
    const Record &s = records_[*sigmoid], &d = records_[*difference];
    const Shape& shape = s.out[0].shape();
    for (const Tensor& t : {d.in[0], d.in[1], g.out[0]})
      if (t.shape() != shape) return {};
    if (made_by(d.in[0], op_sigmoid) != sigmoid || shape.rank() < 1) return {};
    if (read_by(s.out[0]) != std::vector{*difference, i}) return {};
    Loss loss{*sigmoid, *difference, i, scales, factor, {}, {}};
    for (size_t r : read_by(d.out[0])) {
      if (r == scales[0]) continue;
      if (r >= records_.size() || loss.square || records_[r].op != &op_power) return {};
      loss.square = r;
    }
    if (!loss.square) return loss;
    const std::vector<size_t> sums = read_by(records_[*loss.square].out[0]);
    if (std::get<ScalarAttrs>(records_[*loss.square].attrs).a != 2 || sums.size() != 1 ||
        sums[0] >= records_.size())
      return {};
    const Record& sum = records_[sums[0]];
    const uint32_t all_but_first = (1u << shape.rank()) - 2;
    if (sum.op != &op_reduce_sum || sum.in[0].shape() != shape ||
        std::get<AxesAttrs>(sum.attrs).axes != all_but_first || std::get<AxesAttrs>(sum.attrs).keep_dims)
      return {};
    loss.sum = sums[0];
    return loss;
  }

 private:
  std::optional<size_t> made_by(const Tensor& t, const OpDef& op) const {
    const auto found = producer_.find(value_of(t));
    if (found == producer_.end() || records_[found->second].op != &op) return {};
    return found->second;
  }
  std::vector<size_t> read_by(const Tensor& t) const {
    const auto found = readers_.find(value_of(t));
    return found == readers_.end() ? std::vector<size_t>{} : found->second;
  }

  std::span<const Record> records_;
  std::unordered_map<uint64_t, uint64_t> source_;              // of views
  std::unordered_map<uint64_t, std::vector<size_t>> readers_;  // in order, without views
  std::unordered_map<uint64_t, size_t> producer_;
};

}  // namespace

Tape fuse_image_loss(const Tape& tape, std::span<const Tensor> outputs) {
  const std::span<const Record> records = tape.records();
  const LossFinder finder(records, outputs);
  std::vector<bool> gone(records.size());
  std::unordered_map<size_t, Record> instead;  // of the first record that reads what the loss computes
  for (size_t i = 0; i < records.size(); ++i) {
    const auto loss = finder.at(i);
    if (!loss) continue;
    const Record &s = records[loss->sigmoid], &g = records[i];
    const Tensor sums =
        loss->sum ? records[*loss->sum].out[0] : Tensor::meta({s.out[0].dim(0)}, s.out[0].dtype());
    for (size_t r : {loss->sigmoid, loss->difference, loss->gradient}) gone[r] = true;
    for (size_t r : loss->scales) gone[r] = true;
    for (const auto& r : {loss->square, loss->sum})
      if (r) gone[*r] = true;
    instead[loss->difference] = {&op_image_loss,
                                 ScalarAttrs{loss->scale, 0},
                                 {s.in[0], records[loss->difference].in[1]},
                                 {g.out[0], sums}};
  }
  // Views of what is computed no more.
  std::unordered_set<uint64_t> lost;
  for (size_t i = 0; i < records.size(); ++i)
    if (gone[i] && records[i].op != &op_sigmoid_grad && records[i].op != &op_reduce_sum)
      lost.insert(records[i].out[0].id());
  for (size_t i = 0; i < records.size(); ++i)
    if (records[i].op->is_view && lost.contains(finder.value_of(records[i].in[0]))) gone[i] = true;
  Tape result(Tape::Keep::everything);
  for (size_t i = 0; i < records.size(); ++i) {
    if (const auto r = instead.find(i); r != instead.end())
      result.record(*r->second.op, r->second.attrs, r->second.in, r->second.out);
    else if (!gone[i])
      result.record(*records[i].op, records[i].attrs, records[i].in, records[i].out);
  }
  return result;
}

}  // namespace advf
