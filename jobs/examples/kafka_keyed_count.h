#pragma once

#include "absl/status/status.h"
#include "operators/api/stream_environment.h"

namespace weir::examples {

/// Counts the records {"key":N} of Kafka topics by key, from their beginning to the ends they have
/// at the start, and then writes one line {"key":…,"count":…} per key, each exactly once. Records
/// without an integer key are left out. Arguments: --brokers HOST:PORT --topic NAME[,NAME…]
/// --group NAME --out DIR --kafka-config FILE; with --follow it reads on, to measure with: the
/// counts stay in state, as the input never ends.
[[nodiscard]] absl::Status BuildKafkaKeyedCount(StreamEnvironment& environment,
                                                const JobArgs& args);

}  // namespace weir::examples
