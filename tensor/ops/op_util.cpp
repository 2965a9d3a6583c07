#include "tensor/ops/op_util.h"

namespace advf {

void check_inputs(const OpCall& call, size_t count) {
  check(call.in.size() == count, call.op->name, " takes ", count, " inputs, not ", call.in.size());
  DType type = DType::f32;
  bool first = true;
  for (const ValueInfo& v : call.in) {
    if (!v.defined || (v.dtype != DType::f32 && v.dtype != DType::f64)) continue;
    check(first || v.dtype == type, call.op->name, ": inputs of both ", name_of(type), " and ",
          name_of(v.dtype));
    type = v.dtype;
    first = false;
  }
}

size_t sums_bytes(const OpCall& call) { return size_t(call.out.back().shape.numel()) * sizeof(double); }

Shape broadcast_shapes(const char* op, const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  int64_t dims[Shape::kMaxRank];
  for (int i = 0; i < rank; ++i) {
    const int ia = i - (rank - a.rank()), ib = i - (rank - b.rank());
    const int64_t da = ia >= 0 ? a[ia] : 1, db = ib >= 0 ? b[ib] : 1;
    check(da == db || da == 1 || db == 1, op, ": shapes ", a, " and ", b, " do not broadcast");
    dims[i] = da == 1 ? db : da;
  }
  return Shape(std::span<const int64_t>(dims, size_t(rank)));
}

}  // namespace advf
