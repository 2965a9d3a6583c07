#include "advface/audit/linear_reader.h"

#include <algorithm>
#include <vector>

#include "advface/core/feature_domain.h"
#include "autograd/tape.h"
#include "tensor/backend.h"
#include "tensor/check.h"
#include "tensor/ops.h"
#include "tensor/parallel.h"

namespace advf {
namespace {

constexpr double kPenalties[] = {1e-7, 1e-4, 1e-2, 1};
constexpr double kWorthIt = 1e-6;      // less than this share of the error is rounding
constexpr int64_t kMostLeftOut = 512;  // pairs on which the penalty is chosen

std::vector<double> doubles(const Tensor& rows) {
  const std::vector<float> values = rows.to_vector<float>();
  return {values.begin(), values.end()};
}

// m + weight I
Matrix with_penalty(Matrix m, double weight) {
  for (size_t i = 0; i < m.rows(); ++i) m(i, i) += weight;
  return m;
}

// a^T b, of n rows of a (n,d) and b (n,e).
Matrix product(const std::vector<double>& a, const std::vector<double>& b, size_t n, size_t d, size_t e) {
  Matrix sum(d, e);
  parallel_for(int64_t(d), [&](int64_t row) {
    double* out = sum.row(size_t(row));
    for (size_t i = 0; i < n; ++i) {
      const double x = a[i * d + size_t(row)];
      for (size_t c = 0; c < e; ++c) out[c] += x * b[i * e + c];
    }
  });
  return sum;
}

std::vector<double> transposed(const std::vector<double>& a, size_t n, size_t d) {
  std::vector<double> out(a.size());
  for (size_t i = 0; i < n; ++i)
    for (size_t k = 0; k < d; ++k) out[k * n + i] = a[i * d + k];
  return out;
}

// Least squares by the Gram matrix of the pairs or of the dimensions, whichever is smaller: the penalised map
// is X^T (X X^T + p I)^-1 Z = (X^T X + p I)^-1 X^T Z.
class LeastSquares {
 public:
  LeastSquares(const Tensor& stored, const Tensor& wanted)
      : n_(size_t(stored.dim(0))),
        d_(size_t(stored.dim(1))),
        e_(size_t(wanted.dim(1))),
        x_(doubles(stored)),
        z_(doubles(wanted)),
        by_pairs_(n_ <= d_),
        gram_(0, 0),
        right_(0, 0) {
    const std::vector<double> across = transposed(x_, n_, d_);
    gram_ = by_pairs_ ? product(across, across, d_, n_, n_) : product(x_, x_, n_, d_, d_);
    right_ = by_pairs_ ? Matrix(n_, e_) : product(x_, z_, n_, d_, e_);
    for (size_t i = 0; by_pairs_ && i < n_; ++i) std::copy_n(&z_[i * e_], e_, right_.row(i));
    for (size_t i = 0; i < gram_.rows(); ++i) scale_ += gram_(i, i) / double(gram_.rows());
  }

  // (D,E)
  Matrix map(double penalty) const { return solved(cholesky(with_penalty(gram_, penalty * scale_))); }
  // Mean squared error of pairs told by the others.
  double left_out_error(double penalty) const {
    const Matrix l = cholesky(with_penalty(gram_, penalty * scale_)), map = solved(l);
    const size_t step = std::max<size_t>(1, n_ / size_t(kMostLeftOut)), rows = (n_ + step - 1) / step;
    std::vector<double> errors(rows);
    parallel_for(int64_t(rows), [&](int64_t at) {
      const size_t i = size_t(at) * step;
      std::vector<double> off(&z_[i * e_], &z_[i * e_] + e_);
      for (size_t k = 0; k < d_; ++k)
        for (size_t c = 0; c < e_; ++c) off[c] -= x_[i * d_ + k] * map(k, c);
      const double free = std::max(1 - leverage(l, i, penalty), 1e-12);
      for (double v : off) errors[size_t(at)] += v / free * (v / free) / double(rows);
    });
    double error = 0;
    for (double v : errors) error += v;
    return error;
  }

 private:
  // l l^T is the penalised Gram matrix.
  Matrix solved(const Matrix& l) const {
    std::vector<double> v(l.rows() * e_);
    parallel_for(int64_t(e_), [&](int64_t c) {
      std::vector<double> column(l.rows());
      for (size_t i = 0; i < column.size(); ++i) column[i] = right_(i, size_t(c));
      solve_lower(l, column.data());
      solve_upper(l, column.data());
      for (size_t i = 0; i < column.size(); ++i) v[i * e_ + size_t(c)] = column[i];
    });
    if (by_pairs_) return product(x_, v, n_, d_, e_);
    Matrix map(d_, e_);
    for (size_t i = 0; i < d_; ++i) std::copy_n(&v[i * e_], e_, map.row(i));
    return map;
  }
  // How far a pair decides what is told of it: the hat matrix's diagonal.
  double leverage(const Matrix& l, size_t i, double penalty) const {
    std::vector<double> v(l.rows());
    if (by_pairs_)
      v[i] = 1;
    else
      std::copy_n(&x_[i * d_], d_, v.data());
    solve_lower(l, v.data());
    double sum = 0;
    for (double a : v) sum += a * a;
    return by_pairs_ ? 1 - penalty * scale_ * sum : sum;
  }

  size_t n_, d_, e_;
  std::vector<double> x_, z_;
  bool by_pairs_;
  Matrix gram_, right_;
  double scale_ = 0;
};

}  // namespace

Tensor unit_rows(std::vector<float> rows, int64_t values) {
  const size_t d = size_t(values);
  for (size_t begin = 0; begin < rows.size(); begin += d) {
    const std::span<float> row(rows.data() + begin, d);
    const double length = norm(row);
    for (float& v : row) v = length > 0 ? float(double(v) / length) : 0;
  }
  const BackendScope on_host(host_backend());
  return Tensor::from(rows, {int64_t(rows.size() / d), values});
}

LinearReader::LinearReader(const Tensor& stored, const Tensor& wanted) {
  check(stored.shape().rank() == 2 && wanted.shape().rank() == 2 && stored.dim(0) == wanted.dim(0) &&
            stored.dim(0) > 0,
        "pairs of what is stored ", stored.shape(), " and of embeddings ", wanted.shape());
  check(stored.dim(1) <= kMostValues, "known pairs of vectors of ", stored.dim(1), " values; at most ",
        kMostValues);
  const LeastSquares pairs(stored, wanted);
  double least = 0;
  for (const double penalty : kPenalties) {
    const double error = pairs.left_out_error(penalty);
    if (penalty_ > 0 && error >= least * (1 - kWorthIt)) continue;
    least = error;
    penalty_ = penalty;
  }
  const Matrix map = pairs.map(penalty_);
  std::vector<float> values;
  for (size_t i = 0; i < map.rows(); ++i)
    for (size_t j = 0; j < map.columns(); ++j) values.push_back(float(map(i, j)));
  const BackendScope on_host(host_backend());
  map_ = Tensor::from(values, {stored.dim(1), wanted.dim(1)});
}

Tensor LinearReader::read(const Tensor& stored) const {
  const BackendScope on_host(host_backend());
  const NoTapeScope off;
  return unit_rows(matmul(stored.on_host(), map_).to_vector<float>(), map_.dim(1));
}

}  // namespace advf
