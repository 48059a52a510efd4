#pragma once

#include <cstddef>
#include <string>

#include "operators/connectors/kafka/kafka_record.h"

struct rd_kafka_s;

namespace weir::internal {

/// Hands a message to librdkafka, which copies it; `time` counts if the message has no timestamp,
/// `default_topic` if it has no topic. `opaque` comes back with the delivery. Returns librdkafka's
/// error code: 0 if it took the message. Does not block. Threads: any.
[[nodiscard]] int ProduceKafkaMessage(rd_kafka_s* client, const std::string& default_topic,
                                      const KafkaMessage& message, EventTime time, void* opaque);

/// Returns the bytes of key, value and headers.
[[nodiscard]] size_t SizeOf(const KafkaMessage& message);

}  // namespace weir::internal
