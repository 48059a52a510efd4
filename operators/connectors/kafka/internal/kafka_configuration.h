#pragma once

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct rd_kafka_conf_s;
struct rd_kafka_message_s;

namespace weir::internal {

/// The properties of a client, from three sides: weir's defaults, the user's, and those that weir's
/// guarantees rest on and that the user must not change.
struct KafkaConfiguration {
  using Properties = std::map<std::string, std::string>;
  /// Called for each message that was delivered or given up.
  using DeliveryCallback = void (*)(const rd_kafka_message_s* message);

  bool producer = false;
  Properties defaults;
  Properties user;
  Properties fixed;
  DeliveryCallback on_delivery = nullptr;
};

/// Returns what all producers of sinks begin with, whatever their delivery guarantee: a record with
/// a key goes to one partition with each of them.
[[nodiscard]] KafkaConfiguration ProducerConfiguration(const std::string& brokers,
                                                       KafkaConfiguration::Properties user);

/// Makes librdkafka's configuration, to be freed or handed on. Errors: kInvalidArgument for an
/// unknown property, with the nearest one, a wrong value, or one that weir sets itself.
[[nodiscard]] absl::StatusOr<rd_kafka_conf_s*> MakeKafkaConfiguration(
    const KafkaConfiguration& configuration);

/// Returns MakeKafkaConfiguration's error, if it has one.
[[nodiscard]] absl::Status ValidateKafkaConfiguration(const KafkaConfiguration& configuration);

}  // namespace weir::internal
