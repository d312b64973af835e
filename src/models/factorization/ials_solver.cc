// SPDX-License-Identifier: Apache-2.0
#include "models/factorization/ials_solver.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/check.h"
#include "base/rng.h"
#include "math/matrix.h"
#include "math/vector.h"

namespace poise {
namespace {

constexpr std::size_t kRowsPerRange = 64;
constexpr std::size_t kRowsPerSum = 1024;
// Directions that the other side does not use at all, without regularisation: solved as if they
// were used a little.
constexpr double kLeastDiagonal = 1e-12;

std::vector<double> Regularizations(const SparseMatrix& rows, const IalsObjective& objective) {
  std::vector<double> out(rows.row_count());
  for (std::size_t row = 0; row < out.size(); ++row) {
    const std::span<const float> weights = rows.ValuesOf(row);
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    out[row] = IalsSolver::RowRegularization(objective, sum, rows.column_count);
  }
  return out;
}

// Adds up part(begin, end) over ranges of [0, count), in their order.
template <typename Part>
double SumOverRanges(std::size_t count, ThreadPool& pool, const Part& part) {
  std::vector<double> sums((count + kRowsPerSum - 1) / kRowsPerSum, 0.0);
  pool.ParallelFor(count, kRowsPerSum,
                   [&](std::size_t begin, std::size_t end, std::size_t /*worker*/) {
                     sums[begin / kRowsPerSum] = part(begin, end);
                   });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

}  // namespace

double IalsSolver::RowRegularization(const IalsObjective& objective, double weight_sum,
                                     std::size_t other_count) {
  const double mass = weight_sum + objective.unobserved_weight * static_cast<double>(other_count);
  return objective.regularization * std::pow(mass, objective.frequency_exponent);
}

IalsSolver::IalsSolver(const PreferenceMatrix& preferences, std::size_t dim,
                       const IalsObjective& objective, const IalsSteps& steps, ThreadPool& pool)
    : preferences_(preferences),
      objective_(objective),
      steps_(steps),
      pool_(pool),
      users_(preferences.by_user.row_count(), dim),
      items_(preferences.by_item.row_count(), dim),
      user_regularization_(Regularizations(preferences.by_user, objective)),
      item_regularization_(Regularizations(preferences.by_item, objective)) {
  POISE_CHECK(dim > 0);
}

void IalsSolver::Initialize(double scale, std::uint64_t seed) {
  const double deviation = scale / std::sqrt(static_cast<double>(users_.dim()));
  users_.FillNormal(deviation, MixSeed(seed, 1), pool_);
  items_.FillNormal(deviation, MixSeed(seed, 2), pool_);
}

Status IalsSolver::RunEpoch() {
  POISE_RETURN_IF_ERROR(SolveUsers(steps_.user_step_count, steps_.reads));
  return SolveItems(steps_.item_step_count, steps_.reads);
}

Status IalsSolver::SolveUsers(std::size_t step_count, RowReads reads) {
  return SolveSide(preferences_.by_user, user_regularization_, step_count, reads, items_, users_);
}

Status IalsSolver::SolveUsersFrom(const SparseMatrix& rows, std::size_t step_count,
                                  RowReads reads) {
  POISE_CHECK(rows.row_count() == users_.row_count() && rows.column_count == items_.row_count());
  return SolveSide(rows, Regularizations(rows, objective_), step_count, reads, items_, users_);
}

Status IalsSolver::SolveItems(std::size_t step_count, RowReads reads) {
  return SolveSide(preferences_.by_item, item_regularization_, step_count, reads, users_, items_);
}

Status IalsSolver::SolveSide(const SparseMatrix& rows, std::span<const double> regularization,
                             std::size_t step_count, RowReads reads, FactorMatrix& fixed,
                             FactorMatrix& solved) {
  if (steps_.method == RowMethod::kSubspace) {
    SolveSideInSubspaces(rows, regularization, fixed, solved);
    return Status::Ok();
  }
  const std::size_t dim = fixed.dim();
  const std::size_t stride = fixed.stride();
  std::vector<double> vectors = fixed.GramOf(pool_);
  std::vector<double> shared(dim);
  if (!SymmetricEigen({vectors.data(), dim, dim, dim}, shared).ok()) {
    return FailedPrecondition("ials: the vectors are not finite; more regularization is needed");
  }
  for (double& value : shared) value = objective_.unobserved_weight * std::max(value, 0.0);
  const std::vector<float> rotation(vectors.begin(), vectors.end());
  fixed.Rotate(rotation, pool_);
  solved.Rotate(rotation, pool_);

  const double least = std::max(kLeastDiagonal, 1e-7 * shared.back());
  const float half_scale = reads == RowReads::kHalf ? FillHalves(fixed) : 0;
  const std::uint16_t* halves = half_scale > 0 ? halves_.Resize(0) : nullptr;
  const float half_unit = half_scale > 0 ? 1 / half_scale : 1;
  const SolveRowFunction solve = SolveRowAt(steps_.level);
  std::vector<RowScratch> scratch;
  for (std::size_t i = 0; i < pool_.thread_count(); ++i) scratch.emplace_back(stride);
  pool_.ParallelFor(
      rows.row_count(), kRowsPerRange, [&](std::size_t begin, std::size_t end, std::size_t worker) {
        float* diagonal = scratch[worker].Vector(4);
        for (std::size_t row = begin; row < end; ++row) {
          const std::span<const std::uint32_t> columns = rows.ColumnsOf(row);
          float* x = solved.data() + row * stride;
          if (columns.empty()) {
            std::fill_n(x, stride, 0.0F);
            continue;
          }
          for (std::size_t k = 0; k < dim; ++k) {
            diagonal[k] = static_cast<float>(std::max(shared[k] + regularization[row], least));
          }
          std::fill(diagonal + dim, diagonal + stride, 1.0F);
          solve({.matrix = fixed.data(),
                 .stride = stride,
                 .diagonal = diagonal,
                 .indices = columns.data(),
                 .weights = rows.ValuesOf(row).data(),
                 .count = columns.size(),
                 .step_count = step_count,
                 .halves = halves,
                 .half_unit = half_unit},
                scratch[worker], x);
        }
      });
  return Status::Ok();
}

float IalsSolver::FillHalves(const FactorMatrix& matrix) {
  const ToHalvesFunction to_halves = ToHalvesAt(steps_.level);
  if (to_halves == nullptr) return 0;
  const std::size_t row_count = matrix.row_count();
  std::vector<float> tops((row_count + kRowsPerSum - 1) / kRowsPerSum, 0.0F);
  pool_.ParallelFor(
      row_count, kRowsPerSum, [&](std::size_t begin, std::size_t end, std::size_t /*worker*/) {
        float top = 0;
        const float* values = matrix.data();
        for (std::size_t at = begin * matrix.stride(); at < end * matrix.stride(); ++at) {
          top = std::max(top, std::abs(values[at]));
        }
        tops[begin / kRowsPerSum] = top;
      });
  const float top = *std::max_element(tops.begin(), tops.end());
  // 2^14 leaves room below the largest half, 65504.
  int exponent = 0;
  if (top > 0) std::frexp(top, &exponent);
  const float scale = std::ldexp(1.0F, std::clamp(14 - exponent, -100, 100));
  std::uint16_t* halves = halves_.Resize(row_count * matrix.stride());
  pool_.ParallelFor(
      row_count, kRowsPerSum, [&](std::size_t begin, std::size_t end, std::size_t /*worker*/) {
        to_halves(matrix.data() + begin * matrix.stride(), (end - begin) * matrix.stride(), scale,
                  halves + begin * matrix.stride());
      });
  return scale;
}

void IalsSolver::SolveSideInSubspaces(const SparseMatrix& rows,
                                      std::span<const double> regularization,
                                      const FactorMatrix& fixed, FactorMatrix& solved) {
  const std::size_t dim = fixed.dim();
  const std::vector<double> exact_gram = fixed.GramOf(pool_);
  const std::vector<float> gram(exact_gram.begin(), exact_gram.end());
  const auto unobserved = static_cast<float>(objective_.unobserved_weight);
  struct Scratch {
    std::vector<float> residuals;
    std::vector<float> block_rows;
    std::vector<float> scaled_rows;
    std::vector<float> hessian;
    std::vector<float> gradient;
  };
  std::vector<Scratch> scratches(pool_.thread_count());
  pool_.ParallelFor(
      rows.row_count(), kRowsPerRange, [&](std::size_t begin, std::size_t end, std::size_t worker) {
        Scratch& scratch = scratches[worker];
        for (std::size_t row = begin; row < end; ++row) {
          const std::span<const std::uint32_t> columns = rows.ColumnsOf(row);
          const std::span<const float> weights = rows.ValuesOf(row);
          const std::span<float> x = solved.Row(row);
          if (columns.empty()) {
            std::fill(x.begin(), x.end(), 0.0F);
            continue;
          }
          scratch.residuals.resize(columns.size());
          for (std::size_t j = 0; j < columns.size(); ++j) {
            scratch.residuals[j] = 1 - Dot(x, fixed.Row(columns[j]));
          }
          const auto ridge = static_cast<float>(regularization[row]);
          for (std::size_t first = 0; first < dim; first += steps_.subspace_dim) {
            const std::size_t size = std::min(steps_.subspace_dim, dim - first);
            // Newton's step within the block, which is exact: the objective is quadratic in it.
            scratch.block_rows.resize(columns.size() * size);
            scratch.scaled_rows.resize(columns.size() * size);
            scratch.hessian.resize(size * size);
            scratch.gradient.resize(size);
            for (std::size_t k = 0; k < size; ++k) {
              const std::span<const float> gram_row(gram.data() + (first + k) * dim, dim);
              scratch.gradient[k] = -unobserved * Dot(gram_row, x) - ridge * x[first + k];
              for (std::size_t l = 0; l < size; ++l) {
                scratch.hessian[k * size + l] = unobserved * gram_row[first + l];
              }
              scratch.hessian[k * size + k] += ridge + static_cast<float>(kLeastDiagonal);
            }
            for (std::size_t j = 0; j < columns.size(); ++j) {
              const float* from = fixed.Row(columns[j]).data() + first;
              const float root = std::sqrt(weights[j]);
              for (std::size_t k = 0; k < size; ++k) {
                scratch.block_rows[j * size + k] = from[k];
                scratch.scaled_rows[j * size + k] = root * from[k];
              }
              Axpy(weights[j] * scratch.residuals[j], {from, size}, scratch.gradient);
            }
            const MatrixSpan<float> hessian(scratch.hessian, size, size);
            Gram(1, MatrixSpan<const float>(scratch.scaled_rows, columns.size(), size), 1, hessian);
            if (!Cholesky(hessian).ok()) continue;
            CholeskySolve(hessian, scratch.gradient);
            for (std::size_t k = 0; k < size; ++k) x[first + k] += scratch.gradient[k];
            for (std::size_t j = 0; j < columns.size(); ++j) {
              scratch.residuals[j] -=
                  Dot({scratch.block_rows.data() + j * size, size}, scratch.gradient);
            }
          }
        }
      });
}

double IalsSolver::Objective() const {
  const SparseMatrix& rows = preferences_.by_user;
  double total = SumOverRanges(rows.row_count(), pool_, [&](std::size_t begin, std::size_t end) {
    double sum = 0;
    for (std::size_t user = begin; user < end; ++user) {
      const std::span<const std::uint32_t> columns = rows.ColumnsOf(user);
      const std::span<const float> weights = rows.ValuesOf(user);
      const std::span<const float> x = users_.Row(user);
      for (std::size_t j = 0; j < columns.size(); ++j) {
        const double miss = 1.0 - Dot(x, items_.Row(columns[j]));
        sum += weights[j] * miss * miss;
      }
      sum += user_regularization_[user] * SquaredNorm(x);
    }
    return sum;
  });
  total += SumOverRanges(items_.row_count(), pool_, [&](std::size_t begin, std::size_t end) {
    double sum = 0;
    for (std::size_t item = begin; item < end; ++item) {
      sum += item_regularization_[item] * SquaredNorm(items_.Row(item));
    }
    return sum;
  });
  const std::vector<double> user_gram = users_.GramOf(pool_);
  const std::vector<double> item_gram = items_.GramOf(pool_);
  double unobserved = 0;
  for (std::size_t at = 0; at < user_gram.size(); ++at) unobserved += user_gram[at] * item_gram[at];
  return total + objective_.unobserved_weight * unobserved;
}

}  // namespace poise
