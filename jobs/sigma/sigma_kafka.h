#pragma once

#include <map>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "jobs/sigma/settings/sigma_settings.h"
#include "operators/connectors/kafka/kafka_sink_options.h"
#include "operators/connectors/kafka/kafka_source.h"

namespace weir::sigma {

/// What the settings say of security, as librdkafka's properties. Paths are those of the machines
/// that the job runs on. Errors: kInvalidArgument naming the setting that is missing, or that
/// cannot be used.
[[nodiscard]] absl::StatusOr<std::map<std::string, std::string>> KafkaSecurity(
    const SigmaSettings& settings);

/// Where events come from, and where to: KAFKA_BOOTSTRAP_SERVERS and the rest. `properties` are
/// those of both sides, and win over security's. Errors: as KafkaSecurity.
[[nodiscard]] absl::StatusOr<KafkaSourceOptions> EventSourceOptions(
    const SigmaSettings& settings, std::string_view topic,
    std::map<std::string, std::string> properties);
[[nodiscard]] absl::StatusOr<KafkaSourceOptions> ControlSourceOptions(
    const SigmaSettings& settings, std::map<std::string, std::string> properties);
[[nodiscard]] absl::StatusOr<KafkaSinkOptions> SinkOptions(
    const SigmaSettings& settings, std::string_view topic,
    std::map<std::string, std::string> properties);

}  // namespace weir::sigma
