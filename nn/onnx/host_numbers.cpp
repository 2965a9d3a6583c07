#include "nn/onnx/host_numbers.h"

#include <cmath>

#include "autograd/tape.h"
#include "tensor/backend.h"

namespace advf::onnx {
namespace {

bool is_host(const Value& v) { return v.ints || v.host; }

Value widened(const Value& v) {
  Value out;
  out.batched = false;
  if (v.ints)
    out.tensor = Tensor::from(std::vector<double>(v.ints->begin(), v.ints->end()), v.int_shape);
  else
    out.tensor = Tensor::from(std::vector<double>(v.host->begin(), v.host->end()), v.tensor.shape());
  return out;
}

std::vector<Value> run(const Emit& emit, const Inputs& in, size_t data, bool whole_result, DType dtype) {
  std::vector<Value> wide(in.count());
  std::vector<const Value*> inputs(in.count());
  std::vector<Tensor> results;
  bool few = true;
  {
    const NoTapeScope quiet;
    const MetaScope real(false);
    const BackendScope host(host_backend());
    for (size_t i = 0; i < in.count(); ++i) {
      if (!in.has(i)) continue;
      if (i < data) wide[i] = widened(in.value(i));
      inputs[i] = i < data ? &wide[i] : &in.value(i);
    }
    {
      const MetaScope shapes;  // what would be too large is refused before it exists
      for (const Value& v : emit(Inputs(inputs))) {
        few = few && v.tensor.numel() <= kMaxHostNumbers;
        check(few || !whole_result, "computes ", v.tensor.numel(), " numbers of shapes");
      }
    }
    if (few)
      for (const Value& v : emit(Inputs(inputs))) results.push_back(v.tensor);
  }
  if (!few) return emit(in);  // a constant repeated into a tensor
  std::vector<Value> out;
  for (const Tensor& t : results) {
    const std::vector<double> numbers = t.to_vector<double>();
    if (whole_result) {
      std::vector<int64_t> ints;
      for (const double x : numbers) ints.push_back(whole(x));
      out.push_back(whole_numbers(std::move(ints), t.shape()));
    } else {
      const Constant c{
          .name = {}, .shape = t.shape(), .floats = {numbers.begin(), numbers.end()}, .ints = {}};
      out.push_back(to_value(c, dtype));
    }
  }
  return out;
}

}  // namespace

int64_t whole(double x) {
  constexpr double kLimit = 9223372036854774784.0;  // the largest double below 2^63
  check(!std::isnan(x), "computes a shape that is not a number");
  if (x >= kLimit) return INT64_MAX;
  if (x <= -kLimit) return INT64_MIN;
  return int64_t(x);
}

Value whole_numbers(std::vector<int64_t> numbers, const Shape& shape) {
  Value v;
  v.batched = false;
  v.int_shape = shape;
  v.ints = std::move(numbers);
  return v;
}

Emit on_host_numbers(Emit emit, size_t data, bool only_host, DType dtype) {
  return [=, emit = std::move(emit)](const Inputs& in) {
    bool all_host = in.count() > 0, all_whole = true;
    for (size_t i = 0; i < std::min(data, in.count()); ++i) {
      if (!in.has(i)) continue;
      all_host = all_host && is_host(in.value(i));
      all_whole = all_whole && in.value(i).ints.has_value();
    }
    check(all_host || !only_host, "is supported for shapes and short constants only");
    return all_host ? run(emit, in, data, all_whole, dtype) : emit(in);
  };
}

}  // namespace advf::onnx
