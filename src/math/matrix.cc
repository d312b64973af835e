// SPDX-License-Identifier: Apache-2.0
#include "math/matrix.h"

#include <cblas.h>

#include <cmath>
#include <limits>
#include <mutex>
#include <vector>

extern "C" {
// LAPACK by its Fortran names; column-major, so our lower triangle is its upper one.
void spotrf_(const char* uplo, const int* n, float* a, const int* lda, int* error);
void dpotrf_(const char* uplo, const int* n, double* a, const int* lda, int* error);
void strtri_(const char* uplo, const char* diag, const int* n, float* a, const int* lda,
             int* error);
void dtrtri_(const char* uplo, const char* diag, const int* n, double* a, const int* lda,
             int* error);
void dsyevd_(const char* job, const char* uplo, const int* n, double* a, const int* lda,
             double* eigenvalues, double* work, const int* work_size, int* int_work,
             const int* int_work_size, int* error);
}

namespace poise {
namespace {

// Debian's sequential OpenBLAS has no lock around its table of buffers, so calls must not overlap;
// the threaded one has, and is told to use one thread a call.
std::unique_lock<std::mutex> EnterBlas() {
  static std::mutex mutex;
  static const bool is_sequential = [] {
    openblas_set_num_threads(1);
    return openblas_get_parallel() == OPENBLAS_SEQUENTIAL;
  }();
  return is_sequential ? std::unique_lock(mutex) : std::unique_lock<std::mutex>();
}

int Int(std::size_t value) {
  POISE_CHECK(value <= static_cast<std::size_t>(std::numeric_limits<int>::max()));
  return static_cast<int>(value);
}

CBLAS_TRANSPOSE Blas(Transpose transpose) {
  return transpose == Transpose::kYes ? CblasTrans : CblasNoTrans;
}

template <typename T, typename Gemm>
void MultiplyWith(Gemm gemm, T alpha, MatrixSpan<const T> a, Transpose transpose_a,
                  MatrixSpan<const T> b, Transpose transpose_b, T beta, MatrixSpan<T> c) {
  const bool turns_a = transpose_a == Transpose::kYes;
  const bool turns_b = transpose_b == Transpose::kYes;
  const std::size_t inner = turns_a ? a.row_count : a.column_count;
  POISE_CHECK((turns_a ? a.column_count : a.row_count) == c.row_count);
  POISE_CHECK((turns_b ? b.row_count : b.column_count) == c.column_count);
  POISE_CHECK((turns_b ? b.column_count : b.row_count) == inner);
  if (c.row_count == 0 || c.column_count == 0) return;
  const std::unique_lock lock = EnterBlas();
  gemm(CblasRowMajor, Blas(transpose_a), Blas(transpose_b), Int(c.row_count), Int(c.column_count),
       Int(inner), alpha, a.data, Int(std::max<std::size_t>(1, a.stride)), b.data,
       Int(std::max<std::size_t>(1, b.stride)), beta, c.data, Int(c.stride));
}

template <typename T, typename Syrk>
void GramWith(Syrk syrk, T alpha, MatrixSpan<const T> x, T beta, MatrixSpan<T> c) {
  POISE_CHECK(c.row_count == x.column_count && c.column_count == x.column_count);
  if (c.row_count == 0) return;
  const std::unique_lock lock = EnterBlas();
  syrk(CblasRowMajor, CblasLower, CblasTrans, Int(c.row_count), Int(x.row_count), alpha, x.data,
       Int(x.stride), beta, c.data, Int(c.stride));
  for (std::size_t row = 0; row < c.row_count; ++row) {
    for (std::size_t column = 0; column < row; ++column) {
      c.data[column * c.stride + row] = c.data[row * c.stride + column];
    }
  }
}

template <typename T, typename Potrf>
Status CholeskyWith(Potrf potrf, MatrixSpan<T> a) {
  POISE_CHECK(a.row_count == a.column_count);
  if (a.row_count == 0) return Status::Ok();
  const int n = Int(a.row_count);
  const int stride = Int(a.stride);
  int error = 0;
  const std::unique_lock lock = EnterBlas();
  potrf("U", &n, a.data, &stride, &error);
  bool is_finite = error == 0;
  for (std::size_t i = 0; i < a.row_count && is_finite; ++i) {
    // LAPACK lets NaN through where it is not compared.
    is_finite = std::isfinite(a.data[i * (a.stride + 1)]);
  }
  if (!is_finite) return InvalidArgument("matrix: not positive definite");
  return Status::Ok();
}

template <typename T, typename Trtri>
void InvertLowerWith(Trtri trtri, MatrixSpan<T> lower) {
  POISE_CHECK(lower.row_count == lower.column_count);
  if (lower.row_count == 0) return;
  const int n = Int(lower.row_count);
  const int stride = Int(lower.stride);
  int error = 0;
  const std::unique_lock lock = EnterBlas();
  trtri("U", "N", &n, lower.data, &stride, &error);
  POISE_CHECK(error == 0);
}

template <typename T, typename Trsv>
void SolveLowerWith(Trsv trsv, MatrixSpan<const T> lower, Transpose transpose, std::span<T> x) {
  POISE_CHECK(lower.row_count == lower.column_count && x.size() == lower.row_count);
  if (x.empty()) return;
  const std::unique_lock lock = EnterBlas();
  trsv(CblasRowMajor, CblasLower, Blas(transpose), CblasNonUnit, Int(x.size()), lower.data,
       Int(lower.stride), x.data(), 1);
}

}  // namespace

void Multiply(float alpha, MatrixSpan<const float> a, Transpose transpose_a,
              MatrixSpan<const float> b, Transpose transpose_b, float beta, MatrixSpan<float> c) {
  MultiplyWith(cblas_sgemm, alpha, a, transpose_a, b, transpose_b, beta, c);
}

void Multiply(double alpha, MatrixSpan<const double> a, Transpose transpose_a,
              MatrixSpan<const double> b, Transpose transpose_b, double beta,
              MatrixSpan<double> c) {
  MultiplyWith(cblas_dgemm, alpha, a, transpose_a, b, transpose_b, beta, c);
}

void Gram(float alpha, MatrixSpan<const float> x, float beta, MatrixSpan<float> c) {
  GramWith(cblas_ssyrk, alpha, x, beta, c);
}

void Gram(double alpha, MatrixSpan<const double> x, double beta, MatrixSpan<double> c) {
  GramWith(cblas_dsyrk, alpha, x, beta, c);
}

Status Cholesky(MatrixSpan<float> a) { return CholeskyWith(spotrf_, a); }
Status Cholesky(MatrixSpan<double> a) { return CholeskyWith(dpotrf_, a); }

void SolveLower(MatrixSpan<const float> lower, Transpose transpose, std::span<float> x) {
  SolveLowerWith(cblas_strsv, lower, transpose, x);
}

void SolveLower(MatrixSpan<const double> lower, Transpose transpose, std::span<double> x) {
  SolveLowerWith(cblas_dtrsv, lower, transpose, x);
}

void CholeskySolve(MatrixSpan<const float> lower, std::span<float> x) {
  SolveLower(lower, Transpose::kNo, x);
  SolveLower(lower, Transpose::kYes, x);
}

void CholeskySolve(MatrixSpan<const double> lower, std::span<double> x) {
  SolveLower(lower, Transpose::kNo, x);
  SolveLower(lower, Transpose::kYes, x);
}

void InvertLower(MatrixSpan<float> lower) { InvertLowerWith(strtri_, lower); }
void InvertLower(MatrixSpan<double> lower) { InvertLowerWith(dtrtri_, lower); }

Status SymmetricEigen(MatrixSpan<double> a, std::span<double> eigenvalues) {
  POISE_CHECK(a.row_count == a.column_count && eigenvalues.size() == a.row_count);
  if (a.row_count == 0) return Status::Ok();
  for (std::size_t row = 0; row < a.row_count; ++row) {
    for (std::size_t column = 0; column <= row; ++column) {
      if (!std::isfinite(a.data[row * a.stride + column])) {
        return InvalidArgument("matrix: not finite");
      }
    }
  }
  const int n = Int(a.row_count);
  const int stride = Int(a.stride);
  int error = 0;
  int query = -1;
  double work_size = 0;
  int int_work_size = 0;
  const std::unique_lock lock = EnterBlas();
  dsyevd_("V", "U", &n, a.data, &stride, eigenvalues.data(), &work_size, &query, &int_work_size,
          &query, &error);
  std::vector<double> work(static_cast<std::size_t>(work_size));
  std::vector<int> int_work(static_cast<std::size_t>(int_work_size));
  const int size = Int(work.size());
  dsyevd_("V", "U", &n, a.data, &stride, eigenvalues.data(), work.data(), &size, int_work.data(),
          &int_work_size, &error);
  if (error != 0) return InvalidArgument("matrix: eigenvalues did not converge");
  return Status::Ok();
}

}  // namespace poise
