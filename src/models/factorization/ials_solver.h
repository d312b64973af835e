// SPDX-License-Identifier: Apache-2.0
//
// IalsSolver: the alternating half-steps of implicit ALS over a preference matrix.
//
// Minimises, over user vectors x_u and item vectors y_i,
//
//   sum_{(u,i) in S} w_ui (1 - x_u.y_i)^2  +  a0 sum_{u,i} (x_u.y_i)^2
//     + l ( sum_u (|w_u| + a0 I)^nu |x_u|^2  +  sum_i (|w_i| + a0 U)^nu |y_i|^2 )
//
// one side at a time, each row on its own. Both sides are rotated together, which changes no inner
// product, so that the other side's Gram matrix is diagonal; see row_solver.h.
//
// Place    features/preferences.h -> [here] -> ials, bench
// Shapes   U users, I items, D dimensions; |w_u| the sum of a row's weights
// Threads  Uses the pool; the result depends neither on the number of threads nor on timing.
// Cost     An epoch: O(steps * D * |S| + (U + I) D^2 + D^3).
// Source   Rendle, Krichene, Zhang, Koren, arXiv:2110.14037 (objective, eq. 1-4; frequency-scaled
//          regularisation, eq. 5); arXiv:2110.14044 (subspaces, algorithm 1). Weights w in place of
//          1, and their sum in place of the count, so that scaling all weights and a0 is no change
//          at nu = 1.
#pragma once

#include <span>
#include <vector>

#include "base/status.h"
#include "features/preferences.h"
#include "math/cpu.h"
#include "models/factorization/factor_matrix.h"
#include "models/factorization/row_solver.h"

namespace poise {

struct IalsObjective {
  double unobserved_weight = 0.1;   // a0
  double regularization = 0.003;    // l
  double frequency_exponent = 1.0;  // nu
};

enum class RowMethod { kConjugateGradient, kSubspace };

enum class RowReads { kFloat, kHalf };

struct IalsSteps {
  RowMethod method = RowMethod::kConjugateGradient;
  // Of conjugate gradients, for each row and half-step. Items need fewer: users that are solved
  // better are worth more than items that follow half-solved users.
  std::size_t user_step_count = 2;
  std::size_t item_step_count = 1;
  std::size_t subspace_dim = 32;  // of the subspace method
  RowReads reads = RowReads::kFloat;
  SimdLevel level = BestSimdLevel();
};

class IalsSolver {
 public:
  // `preferences` and `pool` must outlive the solver. Weights are positive.
  IalsSolver(const PreferenceMatrix& preferences, std::size_t dim, const IalsObjective& objective,
             const IalsSteps& steps, ThreadPool& pool);

  // Normal vectors of deviation scale / sqrt(D).
  void Initialize(double scale, std::uint64_t seed);

  // All users against the items as they are, then all items against the new users.
  //
  // Errors  kFailedPrecondition: the vectors have grown beyond what a float holds.
  Status RunEpoch();
  Status SolveUsers(std::size_t step_count, RowReads reads);
  Status SolveItems(std::size_t step_count, RowReads reads);
  // Users as `rows` [U, I] has them in place of the preferences.
  Status SolveUsersFrom(const SparseMatrix& rows, std::size_t step_count, RowReads reads);

  double Objective() const;

  const FactorMatrix& users() const { return users_; }
  const FactorMatrix& items() const { return items_; }
  FactorMatrix& users() { return users_; }
  FactorMatrix& items() { return items_; }

  // l (weight_sum + a0 * other_count)^nu
  static double RowRegularization(const IalsObjective& objective, double weight_sum,
                                  std::size_t other_count);

 private:
  Status SolveSide(const SparseMatrix& rows, std::span<const double> regularization,
                   std::size_t step_count, RowReads reads, FactorMatrix& fixed,
                   FactorMatrix& solved);
  // The power of two that makes the best use of a half's range, after filling `halves_`; 0 if there
  // is no such level.
  float FillHalves(const FactorMatrix& matrix);
  void SolveSideInSubspaces(const SparseMatrix& rows, std::span<const double> regularization,
                            const FactorMatrix& fixed, FactorMatrix& solved);

  const PreferenceMatrix& preferences_;
  IalsObjective objective_;
  IalsSteps steps_;
  ThreadPool& pool_;
  FactorMatrix users_;
  FactorMatrix items_;
  std::vector<double> user_regularization_;
  std::vector<double> item_regularization_;
  HalfMatrix halves_;
};

}  // namespace poise
