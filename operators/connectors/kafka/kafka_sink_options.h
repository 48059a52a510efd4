#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "operators/connectors/delivery_guarantee.h"

namespace weir {

/// Where a KafkaSink writes.
struct KafkaSinkOptions {
  std::string brokers{};  ///< host:port, several with commas between.
  std::string topic{};    ///< Of messages that name none themselves.
  /// librdkafka's own properties (compression.codec, linger.ms, security.protocol, …). For exactly
  /// once, transaction.timeout.ms (5 min) must be enough to write what comes between two
  /// checkpoints, and no more than the brokers' transaction.max.timeout.ms (15 min).
  std::map<std::string, std::string> properties{};
  /// How much may be on its way before the sink pushes back.
  size_t max_buffered_bytes = size_t{16} << 20;
  DeliveryGuarantee delivery_guarantee = DeliveryGuarantee::kAtLeastOnce;
  /// For exactly once: subtask s writes in transactions of the id <prefix>-<job>-<uid>-<s>. Only
  /// needed where brokers allow a user certain transactional ids alone.
  std::string transactional_id_prefix = "weir";
};

}  // namespace weir
