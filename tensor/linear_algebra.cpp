#include "tensor/linear_algebra.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tensor/check.h"

namespace advf {
namespace {

double dot(const double* a, const double* b, size_t n) {
  double sum = 0;
  for (size_t k = 0; k < n; ++k) sum += a[k] * b[k];
  return sum;
}

// Turns two rows so that they become orthogonal; false where they were, as far as rounding shows.
bool make_orthogonal(double* p, double* q, size_t n, double least) {
  constexpr double kOrthogonal = 1e-14;
  const double pp = dot(p, p, n), qq = dot(q, q, n), pq = dot(p, q, n);
  if (std::abs(pq) <= kOrthogonal * std::sqrt(pp * qq) || std::min(pp, qq) < least) return false;
  const double zeta = (qq - pp) / (2 * pq);
  const double t = (zeta >= 0 ? 1 : -1) / (std::abs(zeta) + std::sqrt(1 + zeta * zeta));
  const double c = 1 / std::sqrt(1 + t * t), s = c * t;
  for (size_t k = 0; k < n; ++k) {
    const double a = p[k];
    p[k] = c * a - s * q[k];
    q[k] = s * a + c * q[k];
  }
  return true;
}

}  // namespace

void Scatter::add(const std::vector<double>& x) {
  for (size_t i = 0; i < x.size(); ++i) {
    double* row = sum_.row(i);
    for (size_t j = 0; j <= i; ++j) row[j] += x[i] * x[j];
  }
}

Matrix Scatter::mean(double count) const {
  Matrix m = sum_;
  for (size_t i = 0; i < m.rows(); ++i)
    for (size_t j = 0; j <= i; ++j) m(i, j) = m(j, i) = sum_(i, j) / count;
  return m;
}

Matrix cholesky(const Matrix& b) {
  Matrix l(b.rows(), b.rows());
  for (size_t i = 0; i < b.rows(); ++i)
    for (size_t j = 0; j <= i; ++j) {
      const double rest = b(i, j) - dot(l.row(i), l.row(j), j);
      if (i == j) {
        check(rest > 0, "a matrix that should be positive definite is not (row ", i, ")");
        l(i, i) = std::sqrt(rest);
      } else {
        l(i, j) = rest / l(j, j);
      }
    }
  return l;
}

void solve_lower(const Matrix& l, double* x) {
  for (size_t i = 0; i < l.rows(); ++i) x[i] = (x[i] - dot(l.row(i), x, i)) / l(i, i);
}

void solve_upper(const Matrix& l, double* x) {
  for (size_t i = l.rows(); i-- > 0;) {
    x[i] /= l(i, i);
    for (size_t k = 0; k < i; ++k) x[k] -= l(i, k) * x[i];
  }
}

Eigen symmetric_eigen(Matrix a, const std::function<void()>& between_sweeps) {
  const size_t n = a.rows();
  check(a.columns() == n, "eigenvectors of a matrix of ", n, " x ", a.columns());
  constexpr int kMostSweeps = 60;
  constexpr double kNothing = 1e-30;  // of the largest squared norm: a row of an eigenvalue that is zero
  double largest = 0;
  for (size_t i = 0; i < n; ++i) largest = std::max(largest, dot(a.row(i), a.row(i), n));
  bool turned = n > 1;
  for (int sweep = 0; turned; ++sweep) {
    check(sweep < kMostSweeps, "the eigenvectors of a matrix of ", n, " rows are not found");
    if (between_sweeps) between_sweeps();
    turned = false;
    for (size_t p = 0; p + 1 < n; ++p)
      for (size_t q = p + 1; q < n; ++q)
        turned = make_orthogonal(a.row(p), a.row(q), n, kNothing * largest) || turned;
  }
  std::vector<double> norms;
  for (size_t i = 0; i < n; ++i) norms.push_back(std::sqrt(dot(a.row(i), a.row(i), n)));
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t(0));
  std::stable_sort(order.begin(), order.end(), [&](size_t x, size_t y) { return norms[x] > norms[y]; });
  Eigen eigen{{}, Matrix(n, n)};
  for (size_t i = 0; i < n; ++i) {
    const double* row = a.row(order[i]);
    const double norm = norms[order[i]];
    eigen.values.push_back(norm);
    if (norm == 0) continue;
    const double* peak =
        std::max_element(row, row + n, [](double x, double y) { return std::abs(x) < std::abs(y); });
    for (size_t k = 0; k < n; ++k) eigen.vectors(i, k) = (*peak < 0 ? -row[k] : row[k]) / norm;
  }
  return eigen;
}

Matrix generalised_eigenvectors(const Matrix& a, const Matrix& b, size_t count,
                                const std::function<void()>& between_sweeps) {
  const size_t n = a.rows();
  check(a.columns() == n && b.rows() == n && b.columns() == n && count <= n,
        "generalised eigenvectors: ", count, " of matrices of ", n, " and ", b.rows(), " rows");
  const Matrix l = cholesky(b);
  // l^-1 a l^-T, by columns of a, which is symmetric, and then by rows.
  Matrix half = a, whole(n, n);
  for (size_t i = 0; i < n; ++i) solve_lower(l, half.row(i));
  for (size_t i = 0; i < n; ++i) {
    for (size_t k = 0; k < n; ++k) whole(i, k) = half(k, i);
    solve_lower(l, whole.row(i));
  }
  for (size_t i = 0; i < n; ++i)
    for (size_t k = 0; k < i; ++k) whole(i, k) = whole(k, i) = (whole(i, k) + whole(k, i)) / 2;
  Eigen eigen = symmetric_eigen(std::move(whole), between_sweeps);
  Matrix out(n, count);
  for (size_t j = 0; j < count; ++j) {
    solve_upper(l, eigen.vectors.row(j));
    for (size_t i = 0; i < n; ++i) out(i, j) = eigen.vectors(j, i);
  }
  return out;
}

}  // namespace advf
