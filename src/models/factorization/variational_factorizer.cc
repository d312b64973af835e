// SPDX-License-Identifier: Apache-2.0
#include "models/factorization/variational_factorizer.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/rng.h"
#include "math/matrix.h"
#include "math/vector.h"

namespace poise {
namespace {

constexpr std::size_t kRowsPerRange = 32;
// Partial sums are kept for this many ranges, whatever the number of threads.
constexpr std::size_t kSumCount = 16;
constexpr std::size_t kFeatureSteps = 4;
constexpr double kFirstDeviation = 0.1;
constexpr float kFirstPrecision = 10;
constexpr float kFirstBiasPrecision = 5;
// Strength of the hyperprior: m is worth this many rows, Lambda^-1 at the least 1 / rows.
constexpr double kPriorRows = 2;

std::size_t RowsPerSum(std::size_t row_count) {
  return std::max<std::size_t>(1, (row_count + kSumCount - 1) / kSumCount);
}

}  // namespace

RowPosterior::RowPosterior(std::size_t extended_dim)
    : extended_dim_(extended_dim),
      sum_(MomentCount(extended_dim)),
      weighted_(extended_dim),
      system_(extended_dim * extended_dim),
      covariance_(extended_dim * extended_dim),
      prior_mean_(extended_dim),
      mean_(extended_dim) {}

Status RowPosterior::Solve(const RowPrior& prior, float noise_precision,
                           std::span<const float> moments, std::span<const std::uint32_t> columns,
                           std::span<const float> ratings) {
  const std::size_t dim = extended_dim_;
  const std::size_t triangle = dim * (dim + 1) / 2;
  std::copy(prior.mean.begin(), prior.mean.end(), prior_mean_.begin());
  if (!prior.features.empty() && !columns.empty()) {
    const float share = 1 / std::sqrt(static_cast<float>(columns.size()));
    for (const std::uint32_t column : columns) {
      Axpy(share, prior.features.subspan(column * dim, dim), prior_mean_);
    }
  }

  std::fill(sum_.begin(), sum_.end(), 0.0F);
  std::fill(weighted_.begin(), weighted_.end(), 0.0F);
  biased_squares_ = 0;
  const std::span<float> sum(sum_);
  for (std::size_t j = 0; j < columns.size(); ++j) {
    const std::span<const float> record =
        moments.subspan(columns[j] * MomentCount(dim), MomentCount(dim));
    Axpy(1, record, sum);
    // The last row of the triangle is E[a], because a ends in 1.
    Axpy(ratings[j], record.subspan(triangle - dim, dim), weighted_);
    // r^2 - 2 r E[c]; E[c] ends E[c a], for the same reason.
    biased_squares_ += double{ratings[j]} * (ratings[j] - 2.0 * record[triangle + dim - 1]);
  }
  for (std::size_t k = 0; k < dim; ++k) weighted_[k] -= sum_[triangle + k];

  const float* packed = sum_.data();
  for (std::size_t k = 0; k < dim; ++k) {
    for (std::size_t l = 0; l <= k; ++l) {
      system_[k * dim + l] = prior.precision[k * dim + l] + noise_precision * *packed++;
    }
    mean_[k] =
        Dot(prior.precision.subspan(k * dim, dim), prior_mean_) + noise_precision * weighted_[k];
  }
  const MatrixSpan<float> system(system_, dim, dim);
  if (!Cholesky(system).ok()) {
    return FailedPrecondition("factorization: the moments are damaged or have overflowed");
  }
  CholeskySolve(system, mean_);
  return Status::Ok();
}

std::span<const float> RowPosterior::Covariance() {
  const MatrixSpan<float> system(system_, extended_dim_, extended_dim_);
  InvertLower(system);
  for (std::size_t k = 0; k < extended_dim_; ++k) {
    std::fill_n(system_.begin() + static_cast<std::ptrdiff_t>(k * extended_dim_ + k + 1),
                extended_dim_ - k - 1, 0.0F);
  }
  Gram(1, system, 0, MatrixSpan<float>(covariance_, extended_dim_, extended_dim_));
  return covariance_;
}

double RowPosterior::ExpectedError() const {
  // sum E[(r - c - x.a)^2] = sum (r^2 - 2 r E[c] + E[c^2]) - 2 E[x].(sum r E[a] - sum E[c a])
  //                          + trace(E[x x^T] sum E[a a^T])
  const std::size_t dim = extended_dim_;
  const std::size_t triangle = dim * (dim + 1) / 2;
  double error = biased_squares_ + sum_[triangle + dim] - 2.0 * Dot(mean_, weighted_);
  const float* packed = sum_.data();
  for (std::size_t k = 0; k < dim; ++k) {
    for (std::size_t l = 0; l <= k; ++l) {
      const double moment = double{mean_[k]} * mean_[l] + covariance_[k * dim + l];
      error += (k == l ? 1 : 2) * moment * *packed++;
    }
  }
  return error;
}

void RowPosterior::WriteMoments(std::span<float> record) const {
  // Seen from the other side, a = [p, 1] and c = b: the bias stands last in the mean.
  const std::size_t dim = extended_dim_;
  const std::size_t bias = dim - 1;
  float* out = record.data();
  for (std::size_t k = 0; k < bias; ++k) {
    for (std::size_t l = 0; l <= k; ++l) *out++ = mean_[k] * mean_[l] + covariance_[k * dim + l];
  }
  out = std::copy_n(mean_.data(), bias, out);
  *out++ = 1;
  for (std::size_t k = 0; k < bias; ++k) {
    *out++ = mean_[bias] * mean_[k] + covariance_[bias * dim + k];
  }
  *out++ = mean_[bias];
  *out = mean_[bias] * mean_[bias] + covariance_[bias * dim + bias];
}

VariationalFactorizer::VariationalFactorizer(const RatingMatrix& ratings, const Options& options,
                                             ThreadPool& pool)
    : options_(options),
      extended_dim_(options.dim + 1),
      pool_(pool),
      users_{ratings.by_user, {}, {}, {}, {}, {}},
      items_{ratings.by_item, {}, {}, {}, {}, {}} {
  POISE_CHECK(options.dim > 0);
  const std::size_t dim = extended_dim_;
  std::uint64_t stream = 0;
  for (Side* side : {&users_, &items_}) {
    const std::size_t row_count = side->rows.row_count();
    side->means.assign(row_count * dim, 0.0F);
    side->moments.assign(row_count * MomentCount(dim), 0.0F);
    side->prior_means.assign(row_count * dim, 0.0F);
    side->scatter.assign(dim * dim, 0.0);
    side->prior.mean.assign(dim, 0.0F);
    side->prior.precision.assign(dim * dim, 0.0F);
    for (std::size_t k = 0; k < dim; ++k) {
      side->prior.precision[k * dim + k] = k + 1 < dim ? kFirstPrecision : kFirstBiasPrecision;
    }
    if (options.feature_regularization > 0) {
      side->prior.features.assign(side->rows.column_count * dim, 0.0F);
    }
    // Without chance all dimensions would stay alike.
    for (std::size_t row = 0; row < row_count; ++row) {
      Rng rng(MixSeed(MixSeed(options.seed, stream), row));
      float* mean = side->means.data() + row * dim;
      for (std::size_t k = 0; k + 1 < dim; ++k) {
        mean[k] = static_cast<float>(kFirstDeviation * rng.Normal());
      }
      float* record = side->moments.data() + row * MomentCount(dim);
      for (std::size_t k = 0; k + 1 < dim; ++k) {
        for (std::size_t l = 0; l <= k; ++l) {
          *record++ = mean[k] * mean[l] +
                      (k == l ? static_cast<float>(kFirstDeviation * kFirstDeviation) : 0.0F);
        }
      }
      record = std::copy_n(mean, dim - 1, record);
      *record = 1;
    }
    ++stream;
  }
}

Status VariationalFactorizer::RunSweep() {
  POISE_RETURN_IF_ERROR(SolveSide(users_, items_));
  POISE_RETURN_IF_ERROR(SolveSide(items_, users_));
  const auto rating_count = static_cast<double>(users_.rows.entry_count());
  // The smallest noise worth telling apart, so that ratings without any do not divide by zero.
  constexpr double kLeastVariance = 1e-4;
  const double variance = std::max(items_.expected_error / rating_count, kLeastVariance);
  noise_precision_ = static_cast<float>(1 / variance);
  POISE_RETURN_IF_ERROR(LearnPrior(users_, items_));
  return LearnPrior(items_, users_);
}

Status VariationalFactorizer::FinishUsers() { return SolveSide(users_, items_); }

Status VariationalFactorizer::SolveSide(Side& side, const Side& other) {
  const std::size_t dim = extended_dim_;
  const std::size_t row_count = side.rows.row_count();
  const std::size_t rows_per_sum = RowsPerSum(row_count);
  std::vector<std::vector<double>> scatters(kSumCount, std::vector<double>(dim * dim, 0.0));
  std::vector<double> errors(kSumCount, 0.0);
  std::vector<Status> statuses(kSumCount);
  std::vector<RowPosterior> posteriors(pool_.thread_count(), RowPosterior(dim));
  const RowPrior prior{side.prior.precision, side.prior.mean, {}};
  // A row's own prior mean stands in `prior_means`; the shared part is added to it here.
  pool_.ParallelFor(
      (row_count + rows_per_sum - 1) / rows_per_sum, 1,
      [&](std::size_t first_sum, std::size_t last_sum, std::size_t worker) {
        RowPosterior& posterior = posteriors[worker];
        RowPrior own = prior;
        std::vector<float> own_mean(dim);
        own.mean = own_mean;
        for (std::size_t sum = first_sum; sum < last_sum; ++sum) {
          const std::size_t end = std::min((sum + 1) * rows_per_sum, row_count);
          for (std::size_t row = sum * rows_per_sum; row < end; ++row) {
            for (std::size_t k = 0; k < dim; ++k) {
              own_mean[k] = prior.mean[k] + side.prior_means[row * dim + k];
            }
            const Status status =
                posterior.Solve(own, noise_precision_, other.moments, side.rows.ColumnsOf(row),
                                side.rows.ValuesOf(row));
            if (!status.ok()) {
              statuses[sum] = status;
              return;
            }
            const std::span<const float> covariance = posterior.Covariance();
            for (std::size_t at = 0; at < covariance.size(); ++at) {
              scatters[sum][at] += covariance[at];
            }
            errors[sum] += posterior.ExpectedError();
            std::copy_n(posterior.mean().data(), dim, side.means.data() + row * dim);
            posterior.WriteMoments(
                std::span(side.moments).subspan(row * MomentCount(dim), MomentCount(dim)));
          }
        }
      });
  side.expected_error = 0;
  std::fill(side.scatter.begin(), side.scatter.end(), 0.0);
  for (std::size_t sum = 0; sum < kSumCount; ++sum) {
    POISE_RETURN_IF_ERROR(statuses[sum]);
    side.expected_error += errors[sum];
    for (std::size_t at = 0; at < side.scatter.size(); ++at) side.scatter[at] += scatters[sum][at];
  }
  return Status::Ok();
}

void VariationalFactorizer::LearnFeatures(Side& side, const Side& other) {
  // Ridge regression of the rows' means on what they rated, all E columns at once:
  // (F^T F + l 1) B = F^T (means - m), by a few preconditioned conjugate-gradient steps from the B
  // of the last sweep.
  const std::size_t dim = extended_dim_;
  const std::size_t row_count = side.rows.row_count();
  const std::size_t feature_count = other.rows.row_count();
  const auto ridge = static_cast<float>(options_.feature_regularization);
  const auto share_of = [&](std::size_t row) {
    return 1 /
           std::sqrt(static_cast<float>(std::max<std::size_t>(1, side.rows.ColumnsOf(row).size())));
  };
  std::vector<float> shares(row_count);
  for (std::size_t row = 0; row < row_count; ++row) shares[row] = share_of(row);

  // by_row = F in; by_feature = F^T by_row + l in.
  std::vector<float> by_row(row_count * dim);
  const auto to_rows = [&](const std::vector<float>& in, std::vector<float>& out) {
    pool_.ParallelFor(row_count, kRowsPerRange,
                      [&](std::size_t begin, std::size_t end, std::size_t /*worker*/) {
                        for (std::size_t row = begin; row < end; ++row) {
                          const std::span<float> to = std::span(out).subspan(row * dim, dim);
                          std::fill(to.begin(), to.end(), 0.0F);
                          for (const std::uint32_t column : side.rows.ColumnsOf(row)) {
                            Axpy(shares[row], {in.data() + column * dim, dim}, to);
                          }
                        }
                      });
  };
  const auto to_features = [&](const std::vector<float>& in, std::vector<float>& out) {
    pool_.ParallelFor(feature_count, kRowsPerRange,
                      [&](std::size_t begin, std::size_t end, std::size_t /*worker*/) {
                        for (std::size_t feature = begin; feature < end; ++feature) {
                          const std::span<float> to = std::span(out).subspan(feature * dim, dim);
                          std::fill(to.begin(), to.end(), 0.0F);
                          for (const std::uint32_t row : other.rows.ColumnsOf(feature)) {
                            Axpy(shares[row], {in.data() + row * dim, dim}, to);
                          }
                        }
                      });
  };
  std::vector<float> diagonal(feature_count, ridge);
  for (std::size_t feature = 0; feature < feature_count; ++feature) {
    for (const std::uint32_t row : other.rows.ColumnsOf(feature)) {
      diagonal[feature] += shares[row] * shares[row];
    }
  }
  // Column-wise inner products, each column its own system.
  const auto columns_dot = [&](const std::vector<float>& a, const std::vector<float>& b) {
    std::vector<double> sums(dim, 0.0);
    for (std::size_t at = 0; at < a.size(); at += dim) {
      for (std::size_t k = 0; k < dim; ++k) sums[k] += double{a[at + k]} * b[at + k];
    }
    return sums;
  };

  std::vector<float>& features = side.prior.features;
  std::vector<float> residual(feature_count * dim);
  std::vector<float> product(feature_count * dim);
  std::vector<float> scaled(feature_count * dim);
  // F^T (targets - F B) - l B
  to_rows(features, by_row);
  for (std::size_t row = 0; row < row_count; ++row) {
    for (std::size_t k = 0; k < dim; ++k) {
      float& value = by_row[row * dim + k];
      value = side.means[row * dim + k] - side.prior.mean[k] - value;
    }
  }
  to_features(by_row, residual);
  for (std::size_t at = 0; at < residual.size(); ++at) residual[at] -= ridge * features[at];
  const auto precondition = [&] {
    for (std::size_t feature = 0; feature < feature_count; ++feature) {
      for (std::size_t k = 0; k < dim; ++k) {
        scaled[feature * dim + k] = residual[feature * dim + k] / diagonal[feature];
      }
    }
  };
  precondition();
  std::vector<float> direction = scaled;
  std::vector<double> energy = columns_dot(residual, scaled);
  for (std::size_t step = 0; step < kFeatureSteps; ++step) {
    to_rows(direction, by_row);
    to_features(by_row, product);
    Axpy(ridge, direction, product);
    const std::vector<double> curvature = columns_dot(direction, product);
    std::vector<float> lengths(dim, 0.0F);
    for (std::size_t k = 0; k < dim; ++k) {
      if (curvature[k] > 0) lengths[k] = static_cast<float>(energy[k] / curvature[k]);
    }
    for (std::size_t at = 0; at < features.size(); at += dim) {
      for (std::size_t k = 0; k < dim; ++k) {
        features[at + k] += lengths[k] * direction[at + k];
        residual[at + k] -= lengths[k] * product[at + k];
      }
    }
    precondition();
    const std::vector<double> next = columns_dot(residual, scaled);
    std::vector<float> keeps(dim, 0.0F);
    for (std::size_t k = 0; k < dim; ++k) {
      if (energy[k] > 0) keeps[k] = static_cast<float>(next[k] / energy[k]);
    }
    energy = next;
    for (std::size_t at = 0; at < direction.size(); at += dim) {
      for (std::size_t k = 0; k < dim; ++k) {
        direction[at + k] = scaled[at + k] + keeps[k] * direction[at + k];
      }
    }
  }
  to_rows(features, side.prior_means);
}

Status VariationalFactorizer::LearnPrior(Side& side, const Side& other) {
  const std::size_t dim = extended_dim_;
  const std::size_t row_count = side.rows.row_count();
  if (options_.feature_regularization > 0) LearnFeatures(side, other);

  std::vector<double> mean(dim, 0.0);
  for (std::size_t at = 0; at < side.means.size(); at += dim) {
    for (std::size_t k = 0; k < dim; ++k) mean[k] += side.means[at + k] - side.prior_means[at + k];
  }
  const auto rows = static_cast<double>(row_count);
  for (double& value : mean) value /= rows;

  std::vector<double> scatter = side.scatter;
  std::vector<double> centred(dim);
  for (std::size_t at = 0; at < side.means.size(); at += dim) {
    for (std::size_t k = 0; k < dim; ++k) {
      centred[k] = side.means[at + k] - side.prior_means[at + k] - mean[k];
    }
    for (std::size_t k = 0; k < dim; ++k) {
      for (std::size_t l = 0; l <= k; ++l) scatter[k * dim + l] += centred[k] * centred[l];
    }
  }
  for (std::size_t k = 0; k < dim; ++k) {
    for (std::size_t l = 0; l <= k; ++l) {
      scatter[k * dim + l] += rows * kPriorRows / (rows + kPriorRows) * mean[k] * mean[l];
    }
    scatter[k * dim + k] += 1;
    side.prior.mean[k] = static_cast<float>(rows * mean[k] / (rows + kPriorRows));
  }
  const MatrixSpan<double> lower(scatter, dim, dim);
  if (!Cholesky(lower).ok()) {
    return FailedPrecondition("factorization: the vectors are not finite");
  }
  InvertLower(lower);
  for (std::size_t k = 0; k < dim; ++k) {
    for (std::size_t l = k + 1; l < dim; ++l) scatter[k * dim + l] = 0;
  }
  std::vector<double> precision(dim * dim);
  Gram(rows + static_cast<double>(dim), lower, 0.0, MatrixSpan<double>(precision, dim, dim));
  std::copy(precision.begin(), precision.end(), side.prior.precision.begin());
  return Status::Ok();
}

}  // namespace poise
