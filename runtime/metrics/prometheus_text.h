#pragma once

#include <span>
#include <string>

#include "runtime/metrics/metric_report.h"

namespace weir {

/// The content type of RenderPrometheus.
inline constexpr char kPrometheusContentType[] = "text/plain; version=0.0.4; charset=utf-8";

/// Returns the reports in Prometheus' text format, as Flink's reporter writes them: counters and
/// gauges as gauges, histograms as summaries; each family once, in the order of its name.
[[nodiscard]] std::string RenderPrometheus(std::span<const MetricReport* const> reports);

/// Returns texts of several processes, of this format, as one: each family once, with the samples
/// of all.
[[nodiscard]] std::string MergePrometheusTexts(std::span<const std::string> texts);

}  // namespace weir
