#pragma once

#include <cstddef>
#include <map>
#include <string>

namespace weir {

/// Where a KafkaSink writes.
struct KafkaSinkOptions {
  std::string brokers{};  ///< host:port, several with commas between.
  std::string topic{};
  /// librdkafka's own properties (compression.codec, linger.ms, security.protocol, …).
  std::map<std::string, std::string> properties{};
  /// How much may be on its way before the sink pushes back.
  size_t max_buffered_bytes = size_t{16} << 20;
};

}  // namespace weir
