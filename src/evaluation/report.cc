// SPDX-License-Identifier: Apache-2.0
#include "evaluation/report.h"

#include <fmt/format.h>

#include "json/writer.h"

namespace poise {
namespace {

constexpr double kBytesPerMegabyte = 1e6;

}  // namespace

std::string TableHeading(std::span<const Metric> metrics) {
  std::string line = fmt::format("{:<14}", "model");
  for (const Metric& metric : metrics) line += fmt::format(" {:>18}", MetricName(metric));
  return line + fmt::format(" {:>9} {:>9} {:>9}", "train s", "score s", "peak MB");
}

std::string TableLine(const EvaluationRow& row) {
  std::string line = fmt::format("{:<14}", row.model);
  for (const MetricResult& result : row.metrics) {
    line +=
        fmt::format(" {:>9.4f} +-{:.4f}", result.estimate.value, result.estimate.standard_error);
  }
  return line + fmt::format(" {:>9.2f} {:>9.2f} {:>9.0f}", row.train_seconds, row.score_seconds,
                            static_cast<double>(row.peak_memory_bytes) / kBytesPerMegabyte);
}

std::string EvaluationJson(std::span<const EvaluationRow> rows) {
  JsonWriter json(JsonStyle::kPretty);
  json.BeginArray();
  for (const EvaluationRow& row : rows) {
    json.BeginObject().Field("model", row.model);
    for (const MetricResult& result : row.metrics) {
      json.Field(MetricName(result.metric), result.estimate.value);
    }
    json.Key("standardErrors").BeginObject();
    for (const MetricResult& result : row.metrics) {
      json.Field(MetricName(result.metric), result.estimate.standard_error);
    }
    json.EndObject();
    json.Field("trainSeconds", row.train_seconds)
        .Field("scoreSeconds", row.score_seconds)
        .Field("peakMemoryBytes", row.peak_memory_bytes)
        .Field("users", row.user_count)
        .Field("heldOut", row.held_out_count)
        .EndObject();
  }
  json.EndArray();
  return json.Take();
}

}  // namespace poise
