// SPDX-License-Identifier: Apache-2.0
//
// Dense matrices: products, Gram matrices and Cholesky, in float and double.
//
// OpenBLAS does the work, with one thread a call: parallelism is the caller's, over rows, in our
// own pool. It lives in this room only; nobody else sees its headers.
//
// Place    [math/matrix] -> models/, policy/
// Shapes   row-major; `stride` is the distance between the starts of two rows
// Errors   kInvalidArgument: Cholesky() of a matrix that is not positive definite (or not finite).
//          Shapes that do not fit are bugs of the caller and are checked.
// Threads  Pure functions; concurrent calls on different outputs are fine. With a sequential
//          OpenBLAS, which is not reentrant, calls wait for each other: link the threaded one.
#pragma once

#include <cstddef>
#include <span>
#include <type_traits>

#include "base/check.h"
#include "base/status.h"

namespace poise {

template <typename T>
struct MatrixSpan {
  T* data = nullptr;
  std::size_t row_count = 0;
  std::size_t column_count = 0;
  std::size_t stride = 0;

  MatrixSpan() = default;
  MatrixSpan(T* values, std::size_t rows, std::size_t columns, std::size_t row_stride)
      : data(values), row_count(rows), column_count(columns), stride(row_stride) {
    POISE_CHECK(row_stride >= columns);
  }
  MatrixSpan(std::span<T> values, std::size_t rows, std::size_t columns)
      : MatrixSpan(values.data(), rows, columns, columns) {
    POISE_CHECK(values.size() == rows * columns);
  }
  // A writable matrix can be read.
  operator MatrixSpan<const T>() const  // NOLINT(google-explicit-constructor)
      requires(!std::is_const_v<T>) {
    return {data, row_count, column_count, stride};
  }
  std::span<T> Row(std::size_t row) const { return {data + row * stride, column_count}; }
};

enum class Transpose { kNo, kYes };

// c = alpha * op(a) * op(b) + beta * c. With beta 0, c may hold anything, NaN too.
void Multiply(float alpha, MatrixSpan<const float> a, Transpose transpose_a,
              MatrixSpan<const float> b, Transpose transpose_b, float beta, MatrixSpan<float> c);
void Multiply(double alpha, MatrixSpan<const double> a, Transpose transpose_a,
              MatrixSpan<const double> b, Transpose transpose_b, double beta, MatrixSpan<double> c);

// c = alpha * x^T x + beta * c, both triangles. Requires a symmetric c unless beta is 0.
void Gram(float alpha, MatrixSpan<const float> x, float beta, MatrixSpan<float> c);
void Gram(double alpha, MatrixSpan<const double> x, double beta, MatrixSpan<double> c);

// Overwrites the lower triangle of the symmetric a, of which only that is read, with L such that
// a = L L^T. What is above the diagonal stays as it was.
Status Cholesky(MatrixSpan<float> a);
Status Cholesky(MatrixSpan<double> a);

// x = (L L^T)^-1 x for L of Cholesky().
void CholeskySolve(MatrixSpan<const float> lower, std::span<float> x);
void CholeskySolve(MatrixSpan<const double> lower, std::span<double> x);

// x = L^-1 x and x = L^-T x: the two halves of CholeskySolve().
void SolveLower(MatrixSpan<const float> lower, Transpose transpose, std::span<float> x);
void SolveLower(MatrixSpan<const double> lower, Transpose transpose, std::span<double> x);

// a = L^-1 from L of Cholesky(), in the lower triangle.
void InvertLower(MatrixSpan<float> lower);
void InvertLower(MatrixSpan<double> lower);

// Turns the symmetric a, of which only the lower triangle is read, into its eigenvectors, one a
// row, and writes their eigenvalues, ascending.
//
// Errors   kInvalidArgument if a is not finite.
Status SymmetricEigen(MatrixSpan<double> a, std::span<double> eigenvalues);

}  // namespace poise
