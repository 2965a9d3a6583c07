// Small dense matrices in double precision on the host, for what is fitted in closed form.
#pragma once
#include <cstddef>
#include <functional>
#include <vector>

namespace advf {

// rows x columns, row-major.
class Matrix {
 public:
  Matrix(size_t rows, size_t columns) : rows_(rows), columns_(columns), values_(rows * columns, 0.0) {}
  double& operator()(size_t i, size_t j) { return values_[i * columns_ + j]; }
  double operator()(size_t i, size_t j) const { return values_[i * columns_ + j]; }
  double* row(size_t i) { return values_.data() + i * columns_; }
  const double* row(size_t i) const { return values_.data() + i * columns_; }
  size_t rows() const { return rows_; }
  size_t columns() const { return columns_; }

 private:
  size_t rows_, columns_;
  std::vector<double> values_;
};

// The sum of outer products x x^T of vectors of `d` values.
class Scatter {
 public:
  explicit Scatter(size_t d) : sum_(d, d) {}
  void add(const std::vector<double>& x);
  Matrix mean(double count) const;  // the sum / count

 private:
  Matrix sum_;  // its lower triangle
};

// The lower triangle l of b = l l^T, b symmetric. Throws Error where b is not positive definite.
Matrix cholesky(const Matrix& b);
// Solves l y = x and l^T y = x in place, l a lower triangle.
void solve_lower(const Matrix& l, double* x);
void solve_upper(const Matrix& l, double* x);

// Eigenvalues of a symmetric matrix without negative ones, the largest first, and eigenvectors of length 1 as
// the rows of `vectors`, each with its largest component (the first of equals) above zero. Rotations of pairs
// of rows until all are orthogonal (one-sided Jacobi: Hestenes 1958), O(n^3) a sweep. Of eigenvalues that are
// zero the vectors mean nothing. `between_sweeps` may throw. Throws Error where it does not converge.
struct Eigen {
  std::vector<double> values;
  Matrix vectors;
};
Eigen symmetric_eigen(Matrix a, const std::function<void()>& between_sweeps = {});

// The `count` largest solutions v of a v = lambda b v for a symmetric without negative
// eigenvalues and b symmetric positive definite, as
// the columns of the result, with v^T b v = 1. Throws Error where b is not positive definite.
Matrix generalised_eigenvectors(const Matrix& a, const Matrix& b, size_t count,
                                const std::function<void()>& between_sweeps = {});

}  // namespace advf
