#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "runtime/base/ids.h"

namespace google::protobuf {
template <typename T>
class RepeatedPtrField;
}

namespace weir {

namespace proto {
class EventChannel;
class EventPosition;
class OperatorEvent;
class TaskManagerMessage;
}  // namespace proto

/// Who sends operator events to whom, by the ids on the wire. Plain data.
struct EventChannelId {
  int kind = 0;  // A proto::EventChannel::Kind.
  std::string sender_attempt = {};
  std::string operator_id = {};
  uint32_t subtask = 0;

  [[nodiscard]] static EventChannelId FromProto(const proto::EventChannel& channel);
  /// Of an event that goes, or came, in the field of that kind.
  [[nodiscard]] static EventChannelId Of(int kind, const proto::OperatorEvent& event);
  friend auto operator<=>(const EventChannelId&, const EventChannelId&) = default;
};

/// How many events have come, by channel. Belongs to a receiver. Threads: one.
using EventCounts = std::map<EventChannelId, uint64_t>;

void WriteEventCounts(const EventCounts& counts,
                      google::protobuf::RepeatedPtrField<proto::EventPosition>* out);

/// Remembers the newest operator events that tasks and coordinators have sent by way of the
/// JobManager: those that it had not passed on when it died are sent again by way of the next.
///
/// Events of one channel arrive in order, so those that are lost are always its last ones, and a
/// number tells which. Threads: one at a time.
class OperatorEventLog {
 public:
  /// Notes an event of `sender`, which is about to be sent. While `lost`, all are kept, because
  /// none is passed on; else the newest kKept of a channel.
  void Add(ExecutionAttemptId sender, const proto::TaskManagerMessage& event, bool lost);
  /// `sender` has ended.
  void Forget(ExecutionAttemptId sender);
  /// Says how much `sender` has sent.
  void Describe(ExecutionAttemptId sender,
                google::protobuf::RepeatedPtrField<proto::EventPosition>* out) const;
  /// Returns the channels on which `sender` has sent something.
  [[nodiscard]] std::vector<EventChannelId> ChannelsOf(ExecutionAttemptId sender) const;
  [[nodiscard]] uint64_t NumSent(ExecutionAttemptId sender, const EventChannelId& channel) const;
  /// Returns the events of a channel behind the first `num_received`, as far as they are kept.
  [[nodiscard]] std::vector<proto::TaskManagerMessage> After(ExecutionAttemptId sender,
                                                             const EventChannelId& channel,
                                                             uint64_t num_received) const;

  static constexpr size_t kKept = 64;
  /// Of events that nobody takes, more are not kept: then the job's tasks start anew.
  static constexpr size_t kKeptWhileLost = 10'000;

 private:
  struct Channel {
    uint64_t num_sent = 0;
    std::deque<proto::TaskManagerMessage> newest;
  };

  absl::flat_hash_map<ExecutionAttemptId, std::map<EventChannelId, Channel>> senders_;
};

}  // namespace weir
