#include "cuda/emulator/library.h"

#include "cuda/kernels/element.h"
#include "tensor/backend.h"
#include "tensor/ops.h"

namespace advf::cuda::emulator {

Tensor read(const void* p, const Shape& shape, Element element) {
  const BackendScope host(host_backend());
  const MetaScope real(false);
  Tensor t = Tensor::empty(shape);
  float* to = t.mutable_data<float>();
  for (int64_t i = 0, n = t.numel(); i < n; ++i)
    to[i] =
        element == Element::f32 ? static_cast<const float*>(p)[i] : to_float(static_cast<const bf16*>(p)[i]);
  return t;
}

void write(const Tensor& t, void* p, Element element) {
  const float* from = t.data<float>();
  for (int64_t i = 0, n = t.numel(); i < n; ++i)
    if (element == Element::f32)
      static_cast<float*>(p)[i] = from[i];
    else
      static_cast<bf16*>(p)[i] = from_float<bf16>(from[i]);
}

Tensor read_image(const void* p, const Shape& s, Element element) {
  if (element == Element::f32) return read(p, s, element);
  return compute({&op_permute, PermuteAttrs{{0, 3, 1, 2, 4}}, {{{s[0], s[2], s[3], s[1]}}}, {{s}}},
                 {read(p, {s[0], s[2], s[3], s[1]}, element)});
}

void write_image(const Tensor& t, void* p, Element element) {
  if (element == Element::f32) return write(t, p, element);
  const Shape& s = t.shape();
  write(compute({&op_permute, PermuteAttrs{{0, 2, 3, 1, 4}}, {{s}}, {{{s[0], s[2], s[3], s[1]}}}}, {t}), p,
        element);
}

Tensor compute(const OpCall& call, std::vector<Tensor> in) {
  const BackendScope host(host_backend());
  const MetaScope real(false);
  in.resize(call.in.size());
  const Tensor out = Tensor::empty(call.out[0].shape);
  std::vector<View> views;
  for (const Tensor& t : in) views.push_back(t.defined() ? View(t) : View());
  const View to(out);
  const auto bound = host_backend().bind(call, {});
  const Storage scratch(host_backend(), bound->scratch_bytes());
  bound->run(views, std::span(&to, 1), scratch.data());
  return out;
}

}  // namespace advf::cuda::emulator
