#include "operators/connectors/kafka/internal/kafka_message.h"

#include <librdkafka/rdkafka.h>

#include "absl/container/inlined_vector.h"

namespace weir::internal {

int ProduceKafkaMessage(rd_kafka_s* client, const std::string& default_topic,
                        const KafkaMessage& message, EventTime time, void* opaque) {
  absl::InlinedVector<rd_kafka_vu_t, 12> arguments;
  const auto add = [&](rd_kafka_vtype_t type) -> auto& {
    rd_kafka_vu_t& argument = arguments.emplace_back();
    argument.vtype = type;
    return argument.u;
  };
  add(RD_KAFKA_VTYPE_TOPIC).cstr =
      message.topic.empty() ? default_topic.c_str() : message.topic.c_str();
  add(RD_KAFKA_VTYPE_PARTITION).i32 = message.partition;
  add(RD_KAFKA_VTYPE_MSGFLAGS).i = RD_KAFKA_MSG_F_COPY;
  add(RD_KAFKA_VTYPE_OPAQUE).ptr = opaque;
  if (message.is_tombstone) {
    add(RD_KAFKA_VTYPE_VALUE).mem = {nullptr, 0};
  } else {
    add(RD_KAFKA_VTYPE_VALUE).mem = {const_cast<char*>(message.value.data()), message.value.size()};
  }
  if (message.has_key) {
    add(RD_KAFKA_VTYPE_KEY).mem = {const_cast<char*>(message.key.data()), message.key.size()};
  }
  const EventTime timestamp = message.timestamp == EventTime::Min() ? time : message.timestamp;
  if (timestamp != EventTime::Min() && timestamp != EventTime::Max()) {
    add(RD_KAFKA_VTYPE_TIMESTAMP).i64 = timestamp.millis();
  }
  for (const KafkaHeader& header : message.headers) {
    auto& argument = add(RD_KAFKA_VTYPE_HEADER).header;
    argument.name = header.key.c_str();
    argument.val = header.is_null ? nullptr : header.value.data();
    argument.size = header.is_null ? 0 : static_cast<ssize_t>(header.value.size());
  }
  rd_kafka_error_t* error = rd_kafka_produceva(client, arguments.data(), arguments.size());
  if (error == nullptr) return 0;
  const int code = rd_kafka_error_code(error);
  rd_kafka_error_destroy(error);
  return code;
}

size_t SizeOf(const KafkaMessage& message) {
  size_t bytes = (message.has_key ? message.key.size() : 0) +
                 (message.is_tombstone ? 0 : message.value.size());
  for (const KafkaHeader& header : message.headers) {
    bytes += header.key.size() + header.value.size();
  }
  return bytes;
}

}  // namespace weir::internal
