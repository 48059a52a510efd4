#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "operators/connectors/kafka/kafka_record.h"
#include "runtime/base/strings.h"
#include "runtime/record/event_time.h"

namespace weir {

/// Says what of a record goes where in Kafka: value, key, headers, timestamp, topic and partition.
///
/// A value, made in Build; every subtask has a copy. Only the value is needed:
///
///     KafkaRecordSerializationSchema<Order>()
///         .SetValue([](const Order& order, std::string* value) { … })
///         .SetKey([](const Order& order, std::string* key) { … })
template <class T>
class KafkaRecordSerializationSchema {
 public:
  /// Appends to the string, which is empty at the call.
  using Serialize = std::function<void(const T&, std::string*)>;
  using Headers = std::function<void(const T&, std::vector<KafkaHeader>*)>;
  using Timestamp = std::function<EventTime(const T&)>;
  using Topic = std::function<std::string(const T&)>;
  /// Returns a partition in [0, num_partitions), for a message that is complete but for it.
  using Partitioner = std::function<int32_t(const T&, const KafkaMessage&, int32_t num_partitions)>;

  KafkaRecordSerializationSchema() = default;
  /// Values are the records as they are.
  static KafkaRecordSerializationSchema ValueOnly()
    requires std::is_same_v<T, std::string>
  {
    return KafkaRecordSerializationSchema().SetValue(
        [](const std::string& record, std::string* value) { *value = record; });
  }

  KafkaRecordSerializationSchema& SetValue(Serialize serialize) {
    value_ = std::move(serialize);
    return *this;
  }
  KafkaRecordSerializationSchema& SetKey(Serialize serialize) {
    key_ = std::move(serialize);
    return *this;
  }
  KafkaRecordSerializationSchema& SetHeaders(Headers headers) {
    headers_ = std::move(headers);
    return *this;
  }
  /// Else the event time of the record.
  KafkaRecordSerializationSchema& SetTimestamp(Timestamp timestamp) {
    timestamp_ = std::move(timestamp);
    return *this;
  }
  /// Else the sink's topic.
  KafkaRecordSerializationSchema& SetTopic(Topic topic) {
    topic_ = std::move(topic);
    return *this;
  }
  /// Else by the hash of the key. `num_partitions` is what the sink's topic has when the task
  /// starts, so a partitioner goes with SetTopic only if all topics have as many.
  KafkaRecordSerializationSchema& SetPartitioner(Partitioner partitioner) {
    partitioner_ = std::move(partitioner);
    return *this;
  }

  [[nodiscard]] bool has_partitioner() const { return partitioner_ != nullptr; }
  /// Fills `*message`, which is as if new. Errors: kInvalidArgument for a partition that there is
  /// not; kFailedPrecondition if no value was set.
  [[nodiscard]] absl::Status operator()(const T& record, int32_t num_partitions,
                                        KafkaMessage* message) const {
    if (!value_) {
      return absl::FailedPreconditionError("a KafkaRecordSerializationSchema lacks SetValue");
    }
    value_(record, &message->value);
    if (key_) {
      key_(record, &message->key);
      message->has_key = true;
    }
    if (headers_) headers_(record, &message->headers);
    if (timestamp_) message->timestamp = timestamp_(record);
    if (topic_) message->topic = topic_(record);
    if (!partitioner_) return absl::OkStatus();
    message->partition = partitioner_(record, *message, num_partitions);
    if (message->partition >= 0 && message->partition < num_partitions) return absl::OkStatus();
    return absl::InvalidArgumentError(
        StrCat("a partitioner of a Kafka sink returned a partition that there is not: partition=",
               message->partition, " partitions=", num_partitions));
  }

 private:
  Serialize value_;
  Serialize key_;
  Headers headers_;
  Timestamp timestamp_;
  Topic topic_;
  Partitioner partitioner_;
};

}  // namespace weir
