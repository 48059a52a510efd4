#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "operators/api/sink.h"

namespace weir::bench {

/// What a window had: a result that should be at the sink soon after `window_end_ms`.
struct WindowCount {
  int64_t key = 0;
  int64_t count = 0;
  int64_t window_end_ms = 0;
};

/// Records how long after its window's end each result came, in microseconds of the wall clock, and
/// writes the histogram as JSON with each checkpoint, the last one at the end of the job: one file
/// `latency-SUBTASK.json` in `folder`. Windows of the first `warm_up` are left out.
class LatencyHistogramSink final : public Sink<WindowCount> {
 public:
  LatencyHistogramSink(std::string folder, absl::Duration warm_up)
      : folder_(std::move(folder)), warm_up_(warm_up) {}
  [[nodiscard]] absl::StatusOr<std::unique_ptr<SinkWriter<WindowCount>>> CreateWriter(
      SinkContext& context) const override;

 private:
  const std::string folder_;
  const absl::Duration warm_up_;
};

}  // namespace weir::bench
