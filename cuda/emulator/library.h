// What the stand-ins for cuBLAS and cuDNN share: device memory in and out of tensors of the cpu backend.
#pragma once
#include <vector>

#include "cuda/emulator/emulator.h"
#include "cuda/gemm.h"
#include "tensor/op.h"

namespace advf::cuda::emulator {

Tensor read(const void* p, const Shape& shape, Element element);
void write(const Tensor& t, void* p, Element element);
// The same where bf16 means channels last: (N,C,H,W) stands as (N,H,W,C).
Tensor read_image(const void* p, const Shape& shape, Element element);
void write_image(const Tensor& t, void* p, Element element);
// The op's one output on the cpu backend. Absent inputs are those that `in` lacks.
Tensor compute(const OpCall& call, std::vector<Tensor> in);

}  // namespace advf::cuda::emulator
