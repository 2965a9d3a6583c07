// matmul and batch_matmul: op(a) op(b) + bias on the GEMM driver, one product after the other. A transposed
// operand costs a transposing packer, nothing else; a constant b (the weights of a linear layer in a Plan) is
// packed once. Where the product takes pairs of bf16 (kernels.h), both operands are rounded first, to
// matrices of half the depth.
#include <cstring>

#include "tensor/cpu/bind.h"
#include "tensor/cpu/gemm.h"
#include "tensor/cpu/store.h"

namespace advf::cpu {
namespace {

class MatmulOp : public BoundOp {
 public:
  // k: of the operands as they come.
  MatmulOp(const BindArgs& args, int64_t batch, int64_t m, int64_t n, int64_t k)
      : kernels_(args.kernels),
        attrs_(args.call.attr<MatmulAttrs>()),
        epilogue_(args.call),
        batch_(batch),
        numbers_(k),
        gemm_(kernels_, m, n, kernels_.pairs() ? ceil_div(k, 2) : k, 1),
        lanes_(lane_count()) {
    const float* b = args.constant(1);
    if (b && batch == 1) {
      std::vector<float> words;
      if (kernels_.pairs()) {
        words.resize(size_t(n * gemm_.k()));
        round(b, n, !attrs_.transpose_b, words.data());
        b = words.data();
      }
      constant_b_.resize(size_t(gemm_.packed_b()));
      parallel_for(gemm_.b_blocks(), [&](int64_t block) {
        gemm_.pack_b_block(block, constant_b_.data(),
                           [&](float* dst, int64_t column, int64_t k_begin, int64_t k_end) {
                             pack_b(b, dst, column, k_begin, k_end);
                           });
      });
    }
  }

  size_t scratch_bytes() const override {
    Arena arena(nullptr);
    arena.take<float>(gemm_.packed_a());
    arena.take<float>(a_words());
    arena.take<float>(lane_floats() * lanes_);
    return arena.used();
  }

  void run(std::span<const View> in, std::span<const View> out, void* scratch) const override {
    Arena arena(scratch);
    float* packed = arena.take<float>(gemm_.packed_a());
    float* words = arena.take<float>(a_words());
    float* lanes = arena.take<float>(lane_floats() * lanes_);
    const float *a = in[0].as<const float>(), *b = in[1].as<const float>();
    if (kernels_.pairs()) {
      round(a, gemm_.m(), attrs_.transpose_a, words);
      a = words;
    }
    for (int64_t i = 0; i < batch_; ++i)
      multiply(a + i * gemm_.m() * gemm_.k(), b + i * gemm_.k() * gemm_.n(), in, out, i, packed, lanes);
  }

 private:
  void multiply(const float* a, const float* b, std::span<const View> in, std::span<const View> out,
                int64_t i, float* packed, float* lanes) const {
    parallel_for(gemm_.a_blocks(), [&](int64_t block) {
      gemm_.pack_a_block(
          block, packed, [&](float* dst, int64_t row, int64_t rows, int64_t k_begin, int64_t k_end) {
            if (attrs_.transpose_a)
              copy(dst, rows, a + k_begin * gemm_.m() + row, gemm_.m(), k_end - k_begin, rows);
            else
              kernels_.transpose(dst, rows, a + row * gemm_.k() + k_begin, gemm_.k(), rows, k_end - k_begin);
          });
    });
    const auto panel_of = [&](float* dst, int64_t column, int64_t k_begin, int64_t k_end) -> const float* {
      if (!constant_b_.empty()) return constant_b_.data() + gemm_.packed_b_at(column, k_begin, k_end);
      pack_b(b, dst, column, k_begin, k_end);
      return dst;
    };
    const auto store = [&](const float* c, int64_t row, int64_t rows, int64_t column) {
      const StoreRun run{0, 0, int32_t(columns_at(column))};
      StoreArgs args;
      args.dst_stride = gemm_.n(), args.src = c, args.src_stride = gemm_.width(), args.rows = int(rows);
      args.runs = &run, args.num_runs = 1;
      epilogue_.point_columns(args, in, out, (i * gemm_.m() + row) * gemm_.n() + column, column);
      kernels_.store_rows(args);
    };
    for_each_tile(lanes_, gemm_.tiles(), [&](int64_t tile, int64_t lane) {
      gemm_.run_tile(tile, packed, lanes + lane * lane_floats(), panel_of, store);
    });
  }

  int64_t lane_floats() const { return (gemm_.lane_floats() + 15) / 16 * 16; }
  int64_t columns_at(int64_t column) const { return std::min(gemm_.width(), gemm_.n() - column); }
  // One panel of b. Columns past the end are left as they are.
  void pack_b(const float* b, float* dst, int64_t column, int64_t k_begin, int64_t k_end) const {
    if (attrs_.transpose_b)
      kernels_.transpose(dst, gemm_.width(), b + column * gemm_.k() + k_begin, gemm_.k(), columns_at(column),
                         k_end - k_begin);
    else
      copy(dst, gemm_.width(), b + k_begin * gemm_.n() + column, gemm_.n(), k_end - k_begin,
           columns_at(column));
  }
  // Words of an operand of `count` rows of numbers, or as many columns where the depth lies across.
  void round(const float* x, int64_t count, bool across, float* words) const {
    if (across)
      parallel_for(gemm_.k(), [&](int64_t k) {
        kernels_.round_pairs_of(words + k * count, x + 2 * k * count,
                                2 * k + 1 < numbers_ ? x + (2 * k + 1) * count : nullptr, count);
      });
    else
      parallel_for(
          count, [&](int64_t i) { kernels_.round_pairs(words + i * gemm_.k(), x + i * numbers_, numbers_); });
  }
  int64_t a_words() const { return kernels_.pairs() ? gemm_.m() * gemm_.k() : 0; }
  // A block of rows x columns, both dense in their columns.
  void copy(float* dst, int64_t dst_stride, const float* src, int64_t src_stride, int64_t rows,
            int64_t columns) const {
    if (kernels_.pairs()) {  // as bits: a float made of them may be no number
      for (int64_t i = 0; i < rows; ++i)
        std::memcpy(dst + i * dst_stride, src + i * src_stride, size_t(columns) * sizeof(float));
      return;
    }
    const StoreRun run{0, 0, int32_t(columns)};
    StoreArgs args;
    args.dst = dst, args.dst_stride = dst_stride, args.src = src, args.src_stride = src_stride;
    args.rows = int(rows), args.runs = &run, args.num_runs = 1;
    kernels_.store_rows(args);
  }

  const KernelTable& kernels_;
  MatmulAttrs attrs_;
  StoreEpilogue epilogue_;
  int64_t batch_, numbers_;
  Gemm gemm_;
  int lanes_;
  std::vector<float> constant_b_;
};

}  // namespace

std::unique_ptr<BoundOp> bind_matmul(const BindArgs& args) {
  const auto& attrs = args.call.attr<MatmulAttrs>();
  const Shape &a = args.call.in[0].shape, &y = args.call.out[0].shape;
  const int64_t k = a[attrs.transpose_a ? 0 : 1];
  if (y.numel() == 0 || k == 0) return nullptr;
  return std::make_unique<MatmulOp>(args.for_product(k), 1, y[0], y[1], k);
}

std::unique_ptr<BoundOp> bind_matmul_fused(const BindArgs& args) { return bind_matmul(args); }

std::unique_ptr<BoundOp> bind_batch_matmul(const BindArgs& args) {
  const auto& attrs = args.call.attr<MatmulAttrs>();
  const Shape &a = args.call.in[0].shape, &y = args.call.out[0].shape;
  const int64_t k = a[attrs.transpose_a ? 1 : 2];
  if (y.numel() == 0 || k == 0) return nullptr;
  return std::make_unique<MatmulOp>(args, y[0], y[1], y[2], k);
}

}  // namespace advf::cpu
