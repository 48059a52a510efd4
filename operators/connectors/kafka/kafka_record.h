#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/record/event_time.h"

namespace weir {

/// A record as it lies in Kafka.
struct KafkaRecord {
  std::string topic{};
  int32_t partition = 0;
  int64_t offset = 0;
  EventTime timestamp = EventTime::Min();  ///< Min if the record has none.
  std::string key{};
  std::string value{};
  bool has_key = false;       ///< Whether there is a key, which may be empty.
  bool is_tombstone = false;  ///< The value is null: in a compacted topic, the key was deleted.
};

/// What dead letters keep of a record (deserializing_source.h).
[[nodiscard]] inline std::string_view RawBytes(const KafkaRecord& record) { return record.value; }

/// A header of a record. A record may have several of one key.
struct KafkaHeader {
  std::string key{};
  std::string value{};
  bool is_null = false;  ///< There is no value; an empty one is something else.

  friend bool operator==(const KafkaHeader&, const KafkaHeader&) = default;
};

/// A record to be written to Kafka.
struct KafkaMessage {
  std::string topic{};  ///< Empty: the sink's.
  /// -1: by the hash of the key as Java's producers do (murmur2); without a key, any. One that the
  /// topic lacks fails the task.
  int32_t partition = -1;
  std::string key{};
  std::string value{};
  bool has_key = false;
  bool is_tombstone = false;
  EventTime timestamp = EventTime::Min();  ///< Min: the event time of the stream's record, or now.
  std::vector<KafkaHeader> headers{};

  /// Makes it as if new; memory is kept.
  void Clear() {
    topic.clear();
    partition = -1;
    key.clear();
    value.clear();
    has_key = is_tombstone = false;
    timestamp = EventTime::Min();
    headers.clear();
  }
  friend bool operator==(const KafkaMessage&, const KafkaMessage&) = default;
};

}  // namespace weir
