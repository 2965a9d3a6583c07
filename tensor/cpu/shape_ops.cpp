// concat, slice, pad, permute and broadcast_to are one copy between two strided boxes: neighbouring
// dimensions are joined where both sides allow it, then rows are memcpy, fill, or blocks transposed in
// registers.
#include "tensor/cpu/bind.h"
#include "tensor/cpu/loops.h"

namespace advf::cpu {
namespace {

using Sizes = std::array<int64_t, Shape::kMaxRank>;

// Elements from one value of an index to the next.
Sizes strides_of(const Shape& s) {
  Sizes strides{};
  for (int64_t d = s.rank() - 1, stride = 1; d >= 0; --d) {
    strides[size_t(d)] = stride;
    stride *= s[int(d)];
  }
  return strides;
}
int64_t offset_of(const Sizes& index, const Sizes& strides) {
  int64_t at = 0;
  for (size_t d = 0; d < index.size(); ++d) at += index[d] * strides[d];
  return at;
}

// y[sum of index * to] = x[sum of index * from] for all indices of `box`.
class StridedCopy {
 public:
  StridedCopy(const KernelTable& kernels, const Shape& box, const Sizes& from, const Sizes& to)
      : kernels_(&kernels) {
    for (int d = 0; d < box.rank(); ++d) {
      if (box[d] == 1) continue;
      const Dim next{box[d], from[size_t(d)], to[size_t(d)]};
      if (rank_ > 0 && dims_[rank_ - 1].from == next.size * next.from &&
          dims_[rank_ - 1].to == next.size * next.to)
        dims_[rank_ - 1] = {dims_[rank_ - 1].size * next.size, next.from, next.to};
      else
        dims_[rank_++] = next;
    }
    if (rank_ == 0) dims_[rank_++] = {1, 1, 1};
    inner_ = dims_[--rank_];
    // Where the source's rows run along another dimension, that one and the last make a matrix to transpose.
    for (int d = 0; d < rank_ && inner_.to == 1 && inner_.from > 1; ++d)
      if (dims_[d].from == 1) {
        across_ = dims_[d];
        std::copy(dims_ + d + 1, dims_ + rank_, dims_ + d);
        --rank_;
        break;
      }
    for (int d = 0; d < rank_; ++d) cells_ *= dims_[d].size;
  }

  void run(const float* x, float* y) const {
    parallel_rows(cells_, across_.size * inner_.size, [&](int64_t cell) {
      int64_t from = 0, to = 0;
      for (int d = rank_ - 1; d >= 0; --d) {
        from += cell % dims_[d].size * dims_[d].from;
        to += cell % dims_[d].size * dims_[d].to;
        cell /= dims_[d].size;
      }
      copy_cell(x + from, y + to);
    });
  }

 private:
  struct Dim {
    int64_t size = 1, from = 0, to = 0;
  };
  void copy_cell(const float* x, float* y) const {
    if (across_.size > 1)
      kernels_->transpose(y, across_.to, x, inner_.from, inner_.size, across_.size);
    else if (inner_.from == 1 && inner_.to == 1)
      std::memcpy(y, x, size_t(inner_.size) * sizeof(float));
    else if (inner_.from == 0 && inner_.to == 1)
      std::fill_n(y, inner_.size, *x);
    else
      for (int64_t i = 0; i < inner_.size; ++i) y[i * inner_.to] = x[i * inner_.from];
  }

  const KernelTable* kernels_;
  Dim dims_[Shape::kMaxRank], inner_, across_;
  int rank_ = 0;
  int64_t cells_ = 1;
};

bool serves(const BindArgs& args) {
  for (const ValueInfo& v : args.call.in)
    if (v.dtype != DType::f32) return false;
  return args.call.out[0].shape.numel() > 0;
}

}  // namespace

std::unique_ptr<BoundOp> bind_concat(const BindArgs& args) {
  if (!serves(args)) return nullptr;
  const Sizes to = strides_of(args.call.out[0].shape);
  const size_t axis = size_t(args.call.attr<AxisAttrs>().axis);
  struct Part {
    size_t input;
    StridedCopy copy;
    int64_t begin;
  };
  std::vector<Part> parts;
  int64_t begin = 0;
  for (size_t i = 0; i < args.call.in.size(); ++i) {
    const Shape& s = args.call.in[i].shape;
    if (s.numel() > 0)
      parts.push_back({i, StridedCopy(args.kernels, s, strides_of(s), to), begin * to[axis]});
    begin += s[int(axis)];
  }
  return make_op([parts](Views in, Views out, void*) {
    for (const Part& p : parts) p.copy.run(in[p.input].as<const float>(), out[0].as<float>() + p.begin);
  });
}

std::unique_ptr<BoundOp> bind_slice(const BindArgs& args) {
  if (!serves(args)) return nullptr;
  const Shape& box = args.call.out[0].shape;
  const Sizes from = strides_of(args.call.in[0].shape);
  return make_op([copy = StridedCopy(args.kernels, box, from, strides_of(box)),
                  begin = offset_of(args.call.attr<SliceAttrs>().begin, from)](Views in, Views out, void*) {
    copy.run(in[0].as<const float>() + begin, out[0].as<float>());
  });
}

std::unique_ptr<BoundOp> bind_pad(const BindArgs& args) {
  if (!serves(args) || args.call.in[0].shape.numel() == 0) return nullptr;
  const Shape &box = args.call.in[0].shape, &large = args.call.out[0].shape;
  const auto& attrs = args.call.attr<PadAttrs>();
  const Sizes to = strides_of(large);
  return make_op([copy = StridedCopy(args.kernels, box, strides_of(box), to), n = large.numel(),
                  begin = offset_of(attrs.before, to),
                  value = float(attrs.value)](Views in, Views out, void*) {
    float* y = out[0].as<float>();
    parallel_chunks(n, kChunk, [&](int64_t b, int64_t e) { std::fill_n(y + b, e - b, value); });
    copy.run(in[0].as<const float>(), y + begin);
  });
}

std::unique_ptr<BoundOp> bind_permute(const BindArgs& args) {
  if (!serves(args)) return nullptr;
  const Shape& box = args.call.out[0].shape;
  const Sizes source = strides_of(args.call.in[0].shape);
  Sizes from{};
  for (size_t d = 0; d < size_t(box.rank()); ++d)
    from[d] = source[size_t(args.call.attr<PermuteAttrs>().order[d])];
  return make_op([copy = StridedCopy(args.kernels, box, from, strides_of(box))](Views in, Views out, void*) {
    copy.run(in[0].as<const float>(), out[0].as<float>());
  });
}

std::unique_ptr<BoundOp> bind_broadcast_to(const BindArgs& args) {
  if (!serves(args)) return nullptr;
  const Shape &s = args.call.in[0].shape, &box = args.call.out[0].shape;
  const Sizes source = strides_of(s);
  Sizes from{};
  for (int d = 0; d < s.rank(); ++d)
    if (s[d] != 1) from[size_t(d + box.rank() - s.rank())] = source[size_t(d)];
  return make_op([copy = StridedCopy(args.kernels, box, from, strides_of(box))](Views in, Views out, void*) {
    copy.run(in[0].as<const float>(), out[0].as<float>());
  });
}

}  // namespace advf::cpu
