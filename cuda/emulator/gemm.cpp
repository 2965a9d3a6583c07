// In the place of gemm.cu: the cpu backend's product, run in stream order. bf16 operands are widened, sums
// are f32.
#include "cuda/gemm.h"

#include "cuda/emulator/library.h"
#include "tensor/op.h"

namespace advf::cuda {
namespace {

class HostGemm : public Gemm {
 public:
  explicit HostGemm(const GemmProblem& p) : p_(p) {
    const int64_t b = p.batch;
    call_.op = &op_batch_matmul;
    call_.attrs = MatmulAttrs{p.transpose_a, p.transpose_b};
    call_.in = {{p.transpose_a ? Shape{b, p.k, p.m} : Shape{b, p.m, p.k}},
                {p.transpose_b ? Shape{b, p.n, p.k} : Shape{b, p.k, p.n}}};
    call_.out = {{{b, p.m, p.n}}};
  }
  void run(const void* a, const void* b, void* out, cudaStream_t stream) const override {
    emulator::enqueue(stream, [call = call_, p = p_, a, b, out] {
      Tensor x = emulator::read(a, call.in[0].shape, p.operands),
             y = emulator::read(b, call.in[1].shape, p.operands);
      emulator::write(emulator::compute(call, {x, y}), out, p.result);
    });
  }

 private:
  GemmProblem p_;
  OpCall call_;
};

}  // namespace

std::unique_ptr<Gemm> make_gemm(const GemmProblem& problem) { return std::make_unique<HostGemm>(problem); }

}  // namespace advf::cuda
