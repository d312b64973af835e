// SPDX-License-Identifier: Apache-2.0
//
// VariationalFactorizer: Bayesian matrix factorization of ratings by mean-field updates.
//
//   r_ui ~ N(b_u + c_i + p_u.q_i, 1 / tau)          ratings standardised to mean 0, deviation 1
//   [p_u, b_u] ~ N(m + B^T f_u, Lambda^-1)           f_u: which items u rated, 1/sqrt(n_u) each
//
// and the same with the sides swapped. Every row keeps a mean and a full covariance. That a rating
// is missing says something too: f_u carries it into the prior mean, as SVD++ carries it into the
// prediction. Nothing needs tuning but D and the strength of B, because noise and priors are
// learned.
//
// What a row's neighbours need of it is kept as one flat record of moments, so that the sum over a
// row's ratings is one pass over memory.
//
// Place    features/preferences.h -> [here] -> factorization, neighbours/
// Shapes   U users, I items, D dimensions; E = D + 1, the last one the bias; means [R, E];
//          record R = E (E + 1) / 2 second moments of a = [q, 1] (lower triangle by rows), then
//          E[(c) a] [E], then E[c^2]
// Threads  Uses the pool; the result depends neither on the number of threads nor on timing.
// Cost     A sweep: O(N E^2 + (U + I) E^3) and O(steps N E) for B. Memory (U + I) E^2 / 2 floats.
// Source   Lim and Teh, "Variational Bayesian approach to movie rating prediction" (KDD Cup 2007),
//          eq. 9-16; priors as in Salakhutdinov and Mnih, "Bayesian probabilistic matrix
//          factorization" (ICML 2008), eq. 2-7; row features as in Simm et al., "Macau",
//          arXiv:1509.04610, eq. 1-3. Deviations: docs/math/factorization.md
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "base/thread_pool.h"
#include "features/preferences.h"

namespace poise {

constexpr std::size_t MomentCount(std::size_t extended_dim) {
  return extended_dim * (extended_dim + 1) / 2 + extended_dim + 1;
}

// What one side's rows have in common.
struct SidePrior {
  std::vector<float> precision;  // Lambda [E, E]
  std::vector<float> mean;       // m [E]
  std::vector<float> features;   // B [rows of the other side, E]; empty: none
};

struct RowPrior {
  std::span<const float> precision;
  std::span<const float> mean;
  std::span<const float> features;
};

// The posterior of one row given the other side.
class RowPosterior {
 public:
  explicit RowPosterior(std::size_t extended_dim);

  // `moments` [rows of the other side, MomentCount(E)]. Fills mean() and, on demand, the rest.
  //
  // Errors  kFailedPrecondition: the moments are not those of a distribution.
  Status Solve(const RowPrior& prior, float noise_precision, std::span<const float> moments,
               std::span<const std::uint32_t> columns, std::span<const float> ratings);

  std::span<const float> mean() const { return mean_; }
  std::span<const float> prior_mean() const { return prior_mean_; }
  // Turns the system of the last Solve() into its covariance [E, E]. Once a Solve().
  std::span<const float> Covariance();
  // Expected squared error over the row's ratings. Requires Covariance().
  double ExpectedError() const;
  // The record of this row. Requires Covariance().
  void WriteMoments(std::span<float> record) const;

 private:
  std::size_t extended_dim_;
  std::vector<float> sum_;
  std::vector<float> weighted_;
  std::vector<float> system_;
  std::vector<float> covariance_;
  std::vector<float> prior_mean_;
  std::vector<float> mean_;
  double biased_squares_ = 0;
};

class VariationalFactorizer {
 public:
  struct Options {
    std::size_t dim = 32;
    double feature_regularization = 5;  // of B, relative to Lambda; 0: no features
    std::uint64_t seed = 42;
  };

  // `ratings` (standardised) and `pool` must outlive the factorizer.
  VariationalFactorizer(const RatingMatrix& ratings, const Options& options, ThreadPool& pool);

  // Users, items, noise, then the priors.
  Status RunSweep();
  // Users once more, given everything else: then a stored user equals one that is folded in.
  Status FinishUsers();

  std::size_t extended_dim() const { return extended_dim_; }
  float noise_precision() const { return noise_precision_; }
  std::span<const float> user_means() const { return users_.means; }
  std::span<const float> item_means() const { return items_.means; }
  std::span<const float> item_moments() const { return items_.moments; }
  const SidePrior& user_prior() const { return users_.prior; }

 private:
  struct Side {
    const SparseMatrix& rows;
    SidePrior prior;
    std::vector<float> means;
    std::vector<float> moments;
    std::vector<float> prior_means;  // B^T f, without m
    std::vector<double> scatter;     // [E, E]: sum of the rows' covariances
    double expected_error = 0;
  };

  Status SolveSide(Side& side, const Side& other);
  Status LearnPrior(Side& side, const Side& other);
  void LearnFeatures(Side& side, const Side& other);

  Options options_;
  std::size_t extended_dim_;
  ThreadPool& pool_;
  Side users_;
  Side items_;
  float noise_precision_ = 1.5F;
};

}  // namespace poise
