#pragma once

#include "absl/status/status.h"
#include "operators/api/stream_environment.h"

namespace weir::examples {

/// Copies the records of Kafka topics to another topic, with keys and timestamps: from their
/// beginning to the ends they have at the start, or on and on. Arguments: --brokers HOST:PORT
/// --topic NAME[,NAME…] --to NAME --guarantee none|at-least-once|exactly-once (the default)
/// --follow --group NAME --kafka-config FILE.
[[nodiscard]] absl::Status BuildKafkaCopy(StreamEnvironment& environment, const JobArgs& args);

}  // namespace weir::examples
