#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "jobs/correlation/correlation_function.h"
#include "operators/api/stream_environment.h"
#include "runtime/base/status_macros.h"
#include "tests/support/local_job.h"
#include "tests/support/memory_connectors.h"
#include "tests/support/temporary_folder.h"

namespace weir::correlation {

/// A detection with an order, for collecting.
struct DetectionRow {
  Detection detection;
  friend bool operator<(const DetectionRow& a, const DetectionRow& b) {
    return a.detection.detection_id < b.detection.detection_id;
  }
};

inline CorrelationRule MakeRule(std::string id, std::vector<std::string> required,
                                absl::Duration window) {
  return {std::move(id), "a rule", std::move(required), window, "CHAIN", "CRITICAL",
          "HIGH",        "T1021"};
}

inline Signal MakeSignal(std::string type, std::string entity, int64_t time_ms) {
  Signal signal{type, entity, EventTime::FromMillis(time_ms), {}};
  signal.json = "{\"signal_type\":\"" + type + "\",\"time\":" + std::to_string(time_ms) + "}";
  return signal;
}

/// Puts `signals`, in this order, through a CorrelationFunction with real tasks. Signals may be up
/// to `out_of_orderness` behind.
inline absl::StatusOr<std::vector<Detection>> Correlate(std::vector<CorrelationRule> rules,
                                                        std::vector<Signal> signals,
                                                        absl::Duration out_of_orderness,
                                                        uint32_t parallelism = 1,
                                                        size_t records_per_poll = 7) {
  StreamGraph graph;
  StreamEnvironment environment(&graph);
  auto contents = std::make_shared<MemorySinkContents<DetectionRow>>();
  environment
      .FromSource(MemorySource<Signal>(std::move(signals), records_per_poll),
                  WatermarkStrategy<Signal>::BoundedOutOfOrderness(out_of_orderness)
                      .WithTimestamps([](const Signal& signal) { return signal.time - 1; }),
                  "signals")
      .KeyBy([](const Signal& signal) { return signal.entity; })
      .Process(CorrelationFunction(std::move(rules)))
      .Map([](const Detection& detection) { return DetectionRow{detection}; })
      .SinkTo(MemorySink<DetectionRow>(contents));
  const TemporaryFolder checkpoints;
  LocalJobOptions options;
  options.parallelism = parallelism;
  options.directory = checkpoints.path();
  LocalJob job(std::move(graph), options);
  RETURN_IF_ERROR(job.Start());
  RETURN_IF_ERROR(job.WaitUntilFinished());
  std::vector<Detection> detections;
  for (const DetectionRow& row : contents->Committed()) detections.push_back(row.detection);
  return detections;
}

}  // namespace weir::correlation
