// What test_nn and test_nets share: PyTorch's numbers (tests/oracles/nn_oracles.py), and the comparison of a
// module's output and gradients with them: the f64 reference to rounding, the f32 cpu backend to single
// precision.
#pragma once
#include <boost/test/unit_test.hpp>
#include <map>
#include <string>
#include <vector>

#include "autograd/tape.h"
#include "nn/module.h"
#include "nn/state_dict.h"
#include "tensor/io/safetensors.h"
#include "test_util.h"

namespace advf::test {

struct Setting {
  const char* device;
  DType dtype;
  double bound;  // relative error in norm
};
inline const Setting kSettings[] = {{"reference", DType::f64, 1e-11}, {"cpu", DType::f32, 2e-5}};

// The oracle's tensors, in the file's types, on the reference backend.
inline const TensorMap& oracles(const char* file) {
  static std::map<std::string, TensorMap> files;
  auto [slot, fresh] = files.try_emplace(file);
  if (fresh) {
    const BackendScope scope(backend("reference"));
    slot->second = load_safetensors(std::string(ADVF_TEST_DATA) + "/" + file).tensors;
  }
  return slot->second;
}
inline const TensorMap& layer_oracles() { return oracles("nn_layers.safetensors"); }
inline const TensorMap& net_oracles() { return oracles("nn_nets.safetensors"); }

inline const Tensor& find(const TensorMap& file, const std::string& name) {
  const auto found = file.find(name);
  BOOST_REQUIRE_MESSAGE(found != file.end(), "no oracle named " << name);
  return found->second;
}
// On the current backend, floating point values as `dtype`.
inline Tensor get(const TensorMap& file, const std::string& name, DType dtype) {
  const Tensor& t = find(file, name);
  const bool is_float = t.dtype() == DType::f32 || t.dtype() == DType::f64;
  return (is_float ? t.to(dtype) : t).to(current_backend());
}
// The tensors named "<prefix><rest>", as rest -> tensor.
inline TensorMap with_prefix(const TensorMap& file, const std::string& prefix) {
  TensorMap out;
  for (const auto& [name, t] : file)
    if (name.starts_with(prefix)) out[name.substr(prefix.size())] = t;
  return out;
}

inline void check_close(const Tensor& got, const Tensor& want, double bound, const std::string& what) {
  BOOST_TEST(got.shape() == want.shape(), what << ": shape " << got.shape() << ", not " << want.shape());
  const double error = relative_error(got, want);
  BOOST_TEST(error <= bound, what << ": error " << error);
}

// Forward and the gradients of x and of every parameter; oracles <c>.x, .y, .gy, .gx and
// <c>.<grad><parameter>.
inline void check_module(Module& module, const TensorMap& file, const std::string& c, const Setting& s,
                         const std::string& grad = "g") {
  const Tensor x = get(file, c + ".x", s.dtype);
  Tape tape;
  Tensor y;
  {
    TapeScope scope(tape);
    y = module.forward(x);
  }
  check_close(y, find(file, c + ".y"), s.bound, c + " y on " + s.device);
  const auto parameters = module.parameters();
  std::vector<Tensor> wrt = values(parameters);
  wrt.push_back(x);
  const Tensor gy = get(file, c + ".gy", s.dtype);
  const auto grads = backward(tape, std::span(&y, 1), std::span(&gy, 1), wrt);
  check_close(grads.back(), find(file, c + ".gx"), s.bound, c + " gx on " + s.device);
  for (size_t i = 0; i < parameters.size(); ++i) {
    const std::string name = c + "." + grad + parameters[i].name;
    check_close(grads[i], find(file, name), s.bound, name + " on " + s.device);
  }
}

template <class F>
std::string error_of(F f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}
inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

inline std::vector<float> bits(const Tensor& t) { return t.to(DType::f32).to_vector<float>(); }

}  // namespace advf::test
