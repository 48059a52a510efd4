#pragma once

#include <cstdint>
#include <string>
#include <string_view>

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

/// A record to be written to Kafka.
struct KafkaMessage {
  std::string key{};
  std::string value{};
  bool has_key = false;
  bool is_tombstone = false;
  EventTime timestamp = EventTime::Min();  ///< Min: the event time of the stream's record, or now.
};

}  // namespace weir
