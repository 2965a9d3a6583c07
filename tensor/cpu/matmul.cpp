// matmul and batch_matmul: op(a) op(b) + bias on the GEMM driver, one product after the other. A transposed
// operand costs a transposing packer, nothing else.
#include "tensor/cpu/bind.h"
#include "tensor/cpu/gemm.h"

namespace advf::cpu {
namespace {

class MatmulOp : public BoundOp {
 public:
  MatmulOp(const KernelTable& kernels, const MatmulAttrs& attrs, int64_t batch, int64_t m, int64_t n,
           int64_t k)
      : kernels_(kernels), attrs_(attrs), batch_(batch), gemm_(kernels, m, n, k, 1), lanes_(lane_count()) {}

  size_t scratch_bytes() const override {
    Arena arena(nullptr);
    arena.take<float>(gemm_.packed_a());
    arena.take<float>(lane_floats() * lanes_);
    return arena.used();
  }

  void run(std::span<const View> in, std::span<const View> out, void* scratch) const override {
    Arena arena(scratch);
    float* packed = arena.take<float>(gemm_.packed_a());
    float* lanes = arena.take<float>(lane_floats() * lanes_);
    const float* bias = in.size() > 2 ? in[2].as<const float>() : nullptr;
    for (int64_t i = 0; i < batch_; ++i)
      multiply(in[0].as<const float>() + i * gemm_.m() * gemm_.k(),
               in[1].as<const float>() + i * gemm_.k() * gemm_.n(), bias,
               out[0].as<float>() + i * gemm_.m() * gemm_.n(), packed, lanes);
  }

 private:
  void multiply(const float* a, const float* b, const float* bias, float* y, float* packed,
                float* lanes) const {
    parallel_for(gemm_.a_blocks(), [&](int64_t block) {
      gemm_.pack_a_block(
          block, packed, [&](float* dst, int64_t row, int64_t rows, int64_t k_begin, int64_t k_end) {
            if (attrs_.transpose_a)
              copy(dst, rows, a + k_begin * gemm_.m() + row, gemm_.m(), k_end - k_begin, rows);
            else
              kernels_.transpose(dst, rows, a + row * gemm_.k() + k_begin, gemm_.k(), rows, k_end - k_begin);
          });
    });
    const auto pack_b = [&](float* dst, int64_t column, int64_t k_begin, int64_t k_end) {
      const int64_t columns = std::min(gemm_.width(), gemm_.n() - column);
      if (attrs_.transpose_b)
        kernels_.transpose(dst, gemm_.width(), b + column * gemm_.k() + k_begin, gemm_.k(), columns,
                           k_end - k_begin);
      else
        copy(dst, gemm_.width(), b + k_begin * gemm_.n() + column, gemm_.n(), k_end - k_begin, columns);
    };
    const auto store = [&](const float* c, int64_t row, int64_t rows, int64_t column) {
      const StoreRun run{column, 0, int32_t(std::min(gemm_.width(), gemm_.n() - column))};
      kernels_.store_rows(y + row * gemm_.n(), gemm_.n(), 1, c, gemm_.width(), int(rows), &run, 1, nullptr,
                          bias ? bias + column : nullptr);
    };
    for_each_tile(lanes_, gemm_.tiles(), [&](int64_t tile, int64_t lane) {
      gemm_.run_tile(tile, packed, lanes + lane * lane_floats(), pack_b, store);
    });
  }

  int64_t lane_floats() const { return (gemm_.lane_floats() + 15) / 16 * 16; }
  // A block of rows x columns, both dense in their columns.
  void copy(float* dst, int64_t dst_stride, const float* src, int64_t src_stride, int64_t rows,
            int64_t columns) const {
    const StoreRun run{0, 0, int32_t(columns)};
    kernels_.store_rows(dst, dst_stride, 1, src, src_stride, int(rows), &run, 1, nullptr, nullptr);
  }

  const KernelTable& kernels_;
  MatmulAttrs attrs_;
  int64_t batch_;
  Gemm gemm_;
  int lanes_;
};

}  // namespace

std::unique_ptr<BoundOp> bind_matmul(const BindArgs& args) {
  const auto& attrs = args.call.attr<MatmulAttrs>();
  const Shape &a = args.call.in[0].shape, &y = args.call.out[0].shape;
  const int64_t k = a[attrs.transpose_a ? 0 : 1];
  if (y.numel() == 0 || k == 0) return nullptr;
  return std::make_unique<MatmulOp>(args.kernels, attrs, 1, y[0], y[1], k);
}

std::unique_ptr<BoundOp> bind_batch_matmul(const BindArgs& args) {
  const auto& attrs = args.call.attr<MatmulAttrs>();
  const Shape &a = args.call.in[0].shape, &y = args.call.out[0].shape;
  const int64_t k = a[attrs.transpose_a ? 1 : 2];
  if (y.numel() == 0 || k == 0) return nullptr;
  return std::make_unique<MatmulOp>(args.kernels, attrs, y[0], y[1], y[2], k);
}

}  // namespace advf::cpu
