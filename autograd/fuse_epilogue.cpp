#include <algorithm>
#include <optional>
#include <unordered_map>

#include "autograd/passes.h"

namespace advf {
namespace {

// What an element-wise record would be as the epilogue of the product that makes its input `operand`.
struct Candidate {
  size_t operand = 0;
  Epilogue epilogue{};
  Tensor residual, extra;
};

class EpilogueFuser {
 public:
  EpilogueFuser(const Tape& tape, std::span<const Tensor> outputs) {
    for (const Record& r : tape.records())
      for (const Tensor& t : r.in)
        if (t.defined()) ++readers_[t.id()];
    for (const Tensor& t : outputs) ++readers_[t.id()];
  }

  Tape run(const Tape& tape) {
    for (const Record& r : tape.records())
      if (!fuse(r)) add(r);
    Tape result(Tape::Keep::everything);
    for (size_t i = 0; i < records_.size(); ++i)
      if (alive_[i]) result.record(*records_[i].op, records_[i].attrs, records_[i].in, records_[i].out);
    return result;
  }

 private:
  void add(Record r) {
    for (const Tensor& t : r.out) producer_[t.id()] = records_.size();
    records_.push_back(std::move(r));
    alive_.push_back(true);
  }

  static Epilogue& epilogue_of(Attrs& attrs) {
    if (auto* conv = std::get_if<ConvAttrs>(&attrs)) return conv->epilogue;
    return std::get<MatmulAttrs>(attrs).epilogue;
  }

  // The product that makes t, alone or through views, each read once; its record comes last.
  std::vector<size_t> product_of(Tensor t) const {
    std::vector<size_t> chain;
    for (;;) {
      const auto reads = readers_.find(t.id());
      const auto made = producer_.find(t.id());
      if (made == producer_.end() || reads == readers_.end() || reads->second != 1) return {};
      const Record& r = records_[made->second];
      chain.push_back(made->second);
      if (r.op->fused) return chain;
      if (!r.op->is_view) return {};
      t = r.in[0];
    }
  }

  static std::vector<Candidate> candidates(const Record& r) {
    const Activation activation = r.op->epilogue;
    switch (activation) {
      case Activation::none:
        break;
      case Activation::relu:
        return {{0, {activation, 0}, {}, {}}};
      case Activation::leaky_relu:
        return {{0, {activation, std::get<ScalarAttrs>(r.attrs).a}, {}, {}}};
      case Activation::prelu:
        return {{0, {activation, 0}, {}, r.in[1]}};
      case Activation::relu_grad:
        return {{1, {activation, 0}, {}, r.in[0]}};
      case Activation::leaky_relu_grad:
        return {{1, {activation, std::get<ScalarAttrs>(r.attrs).a}, {}, r.in[0]}};
    }
    if (r.op == &op_add && r.in[0].shape() == r.in[1].shape() && r.in[0].id() != r.in[1].id())
      return {{1, {}, r.in[0], {}}, {0, {}, r.in[1], {}}};
    return {};
  }

  bool fuse(const Record& r) {
    for (const Candidate& c : candidates(r)) {
      const std::vector<size_t> chain = product_of(r.in[c.operand]);
      if (chain.empty()) continue;
      Record product = records_[chain.back()];
      Epilogue& epilogue = epilogue_of(product.attrs);
      if (epilogue.activation != Activation::none) continue;
      product.in.resize(5);
      if (c.residual.defined() && product.in[3].defined()) continue;
      const Shape& shape = product.out[0].shape();
      const bool direct = shape == r.out[0].shape();
      if (c.epilogue.activation == Activation::prelu && (!direct || shape.rank() != 4)) continue;
      for (size_t i : chain) alive_[i] = false;
      product.op = product.op->fused;
      if (c.residual.defined()) {
        product.in[3] = as_shape(c.residual, shape);
      } else {
        epilogue = c.epilogue;
        if (c.extra.defined())
          product.in[4] = c.epilogue.activation == Activation::prelu ? c.extra : as_shape(c.extra, shape);
      }
      product.out = {direct ? r.out[0] : Tensor::meta(shape, r.out[0].dtype())};
      const Tensor flat = product.out[0];
      add(std::move(product));
      if (!direct) {
        ++readers_[flat.id()];
        add({&op_reshape, ShapeAttrs{r.out[0].shape()}, {flat}, {r.out[0]}});
      }
      return true;
    }
    return false;
  }

  Tensor as_shape(const Tensor& t, const Shape& shape) {
    if (t.shape() == shape) return t;
    const Tensor view = Tensor::meta(shape, t.dtype());
    ++readers_[view.id()];
    add({&op_reshape, ShapeAttrs{shape}, {t}, {view}});
    return view;
  }

  std::unordered_map<uint64_t, int> readers_;
  std::unordered_map<uint64_t, size_t> producer_;
  std::vector<Record> records_;
  std::vector<bool> alive_;
};

}  // namespace

Tape fuse_epilogue(const Tape& tape, std::span<const Tensor> outputs) {
  return EpilogueFuser(tape, outputs).run(tape);
}

}  // namespace advf
