// For tests of plans: tapes recorded on shapes alone, bits compared, decoders to compile.
#pragma once
#include <cstring>
#include <functional>
#include <memory>
#include <string>

#include "autograd/tape.h"
#include "nn/nets/decoders.h"
#include "tensor/ops.h"
#include "test_util.h"

namespace advf::test {

inline bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() && std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

// f recorded on shapes alone.
inline Tape trace(const std::function<void(Tape&)>& f) {
  Tape tape(Tape::Keep::everything);
  const MetaScope meta;
  const TapeScope scope(tape);
  f(tape);
  return tape;
}

// A decoder in evaluation mode whose batch norms have seen something.
inline std::unique_ptr<Module> decoder(const std::string& name) {
  auto net = make_decoder(DecoderSpec{name, {24}, 32, 32}, 3);
  for (uint64_t i = 0; i < 3; ++i) net->forward(l2_normalise(randn({8, 24}, 90 + i, DType::f32)));
  net->train(false);
  return net;
}

}  // namespace advf::test
