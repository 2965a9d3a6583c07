#include "advface/protections/attribute_erasure.h"

#include <algorithm>
#include <cmath>

#include "tensor/check.h"

namespace advf {
namespace {

// Of the largest, below which what is left of an attribute beside the others is rounding.
constexpr double kSameEigenvalue = 1e-12, kSameLength = 1e-6;

double inner(const double* a, const double* b, size_t n) {
  double sum = 0;
  for (size_t k = 0; k < n; ++k) sum += a[k] * b[k];
  return sum;
}

double trace(const Matrix& m) {
  double sum = 0;
  for (size_t k = 0; k < m.rows(); ++k) sum += m(k, k);
  return sum;
}

double largest_length(const Matrix& rows) {
  double most = 0;
  for (size_t i = 0; i < rows.rows(); ++i)
    most = std::max(most, std::sqrt(inner(rows.row(i), rows.row(i), rows.columns())));
  return most;
}

void check_moments(const ErasureMoments& m) {
  const size_t d = m.mean.size();
  check(m.covariance.rows() == d && m.covariance.columns() == d && m.cross.columns() == d, "moments of ", d,
        " values have a covariance of ", m.covariance.rows(), " x ", m.covariance.columns());
  check(trace(m.covariance) > 0, "all features are the same, so that nothing can be taken out of them");
  check(largest_length(m.cross) > 0, "no feature goes with an attribute, so that there is nothing to erase");
}

// sum_i weights[i] rows_i
void combine(const double* weights, const Matrix& rows, double scale, double* out) {
  for (size_t i = 0; i < rows.rows(); ++i)
    for (size_t k = 0; k < rows.columns(); ++k) out[k] += scale * weights[i] * rows(i, k);
}

// x without its part in the space of these orthonormal rows. Twice: the first time leaves rounding.
void leave_space(double* x, const std::vector<std::vector<double>>& basis) {
  for (int pass = 0; pass < 2; ++pass)
    for (const std::vector<double>& b : basis) {
      const double along = inner(x, b.data(), b.size());
      for (size_t k = 0; k < b.size(); ++k) x[k] -= along * b[k];
    }
}

// The covariance of features without their part in that space.
Matrix leave_space_both(Matrix covariance, const std::vector<std::vector<double>>& basis) {
  const size_t d = covariance.rows();
  for (int side = 0; side < 2; ++side) {
    for (size_t i = 0; i < d; ++i) leave_space(covariance.row(i), basis);
    for (size_t i = 0; i < d; ++i)
      for (size_t j = 0; j < i; ++j) std::swap(covariance(i, j), covariance(j, i));
  }
  return covariance;
}

}  // namespace

double covariance_shrinkage(const Matrix& covariance, int64_t rows) {
  const double p = double(covariance.rows()), n = double(rows), t = trace(covariance);
  double squares = 0;  // trace of the square
  for (size_t i = 0; i < covariance.rows(); ++i)
    squares += inner(covariance.row(i), covariance.row(i), covariance.columns());
  const double spread = (n + 1 - 2 / p) * (squares - t * t / p);
  if (!(spread > 0)) return 1;
  return std::clamp(((1 - 2 / p) * squares + t * t) / spread, 0.0, 1.0);
}

Matrix shrunk(Matrix covariance, double share) {
  const double ridge = share * trace(covariance) / double(covariance.rows());
  for (size_t i = 0; i < covariance.rows(); ++i)
    for (size_t j = 0; j < covariance.columns(); ++j)
      covariance(i, j) = (1 - share) * covariance(i, j) + (i == j ? ridge : 0);
  return covariance;
}

ErasureMap leace(const ErasureMoments& m) {
  check_moments(m);
  const size_t d = m.mean.size(), k = m.cross.rows();
  const Matrix l = cholesky(shrunk(m.covariance, covariance_shrinkage(m.covariance, m.rows)));
  // Rows: l^-1 s for each attribute, whose lengths and angles are those of W s.
  Matrix white = m.cross, gram(k, k);
  for (size_t i = 0; i < k; ++i) solve_lower(l, white.row(i));
  for (size_t i = 0; i < k; ++i)
    for (size_t j = 0; j < k; ++j) gram(i, j) = inner(white.row(i), white.row(j), d);
  const Eigen eigen = symmetric_eigen(gram);
  size_t directions = 0;
  while (directions < std::min(k, d) && eigen.values[directions] > kSameEigenvalue * eigen.values[0])
    ++directions;
  ErasureMap map{m.mean, Matrix(directions, d), Matrix(directions, d)};
  for (size_t i = 0; i < directions; ++i) {
    const double scale = 1 / std::sqrt(eigen.values[i]);
    combine(eigen.vectors.row(i), m.cross, scale, map.write.row(i));
    combine(eigen.vectors.row(i), white, scale, map.read.row(i));
    solve_upper(l, map.read.row(i));
  }
  return map;
}

ErasureMap nullspace(const ErasureMoments& m, int64_t rounds, const std::function<void()>& between_rounds) {
  check_moments(m);
  const size_t d = m.mean.size();
  const double first = largest_length(m.cross);
  std::vector<std::vector<double>> basis;
  for (int64_t round = 0; round < rounds; ++round) {
    if (between_rounds) between_rounds();
    Matrix cross = m.cross;
    for (size_t i = 0; i < cross.rows(); ++i) leave_space(cross.row(i), basis);
    if (largest_length(cross) < kSameLength * first) break;  // there is nothing left to tell it by
    const Matrix covariance = leave_space_both(m.covariance, basis);
    const Matrix l = cholesky(shrunk(covariance, covariance_shrinkage(covariance, m.rows)));
    for (size_t i = 0; i < cross.rows(); ++i) {
      std::vector<double> w(cross.row(i), cross.row(i) + d);
      solve_lower(l, w.data());
      solve_upper(l, w.data());
      const double before = std::sqrt(inner(w.data(), w.data(), d));
      leave_space(w.data(), basis);
      const double length = std::sqrt(inner(w.data(), w.data(), d));
      if (!(length > kSameLength * before)) continue;  // another attribute's direction
      check(basis.size() + 1 < d, rounds, " rounds for ", cross.rows(), " attributes leave nothing of ", d,
            " dimensions; use fewer rounds");
      for (double& v : w) v /= length;
      basis.push_back(std::move(w));
    }
  }
  ErasureMap map{m.mean, Matrix(basis.size(), d), Matrix(basis.size(), d)};
  for (size_t i = 0; i < basis.size(); ++i)
    for (size_t j = 0; j < d; ++j) map.read(i, j) = map.write(i, j) = basis[i][j];
  return map;
}

}  // namespace advf
