#include "taskmanager/operator_event_log.h"

#include "proto/control_plane.pb.h"

namespace weir {
namespace {

EventChannelId ChannelOf(const proto::TaskManagerMessage& message) {
  switch (message.kind_case()) {
    case proto::TaskManagerMessage::kEventToTask:
      return EventChannelId::Of(proto::EventChannel::TO_TASK, message.event_to_task());
    case proto::TaskManagerMessage::kEventToCoordinators:
      return EventChannelId::Of(proto::EventChannel::TO_COORDINATORS,
                                message.event_to_coordinators());
    default:
      return EventChannelId::Of(proto::EventChannel::TO_COORDINATOR,
                                message.event_to_coordinator());
  }
}

void WriteChannel(const EventChannelId& channel, proto::EventChannel* out) {
  out->set_kind(static_cast<proto::EventChannel::Kind>(channel.kind));
  out->set_sender_attempt(channel.sender_attempt);
  out->set_operator_id(channel.operator_id);
  out->set_subtask(channel.subtask);
}

}  // namespace

EventChannelId EventChannelId::FromProto(const proto::EventChannel& channel) {
  return {channel.kind(), channel.sender_attempt(), channel.operator_id(), channel.subtask()};
}

EventChannelId EventChannelId::Of(int kind, const proto::OperatorEvent& event) {
  return {kind, event.sender_attempt(), event.operator_id(), event.subtask()};
}

void WriteEventCounts(const EventCounts& counts,
                      google::protobuf::RepeatedPtrField<proto::EventPosition>* out) {
  for (const auto& [channel, count] : counts) {
    proto::EventPosition* const position = out->Add();
    WriteChannel(channel, position->mutable_channel());
    position->set_count(count);
  }
}

void OperatorEventLog::Add(ExecutionAttemptId sender, const proto::TaskManagerMessage& event,
                           bool lost) {
  Channel& channel = senders_[sender][ChannelOf(event)];
  ++channel.num_sent;
  channel.newest.push_back(event);
  while (channel.newest.size() > (lost ? kKeptWhileLost : kKept)) channel.newest.pop_front();
}

void OperatorEventLog::Forget(ExecutionAttemptId sender) { senders_.erase(sender); }

void OperatorEventLog::Describe(
    ExecutionAttemptId sender,
    google::protobuf::RepeatedPtrField<proto::EventPosition>* out) const {
  const auto found = senders_.find(sender);
  if (found == senders_.end()) return;
  for (const auto& [id, channel] : found->second) {
    proto::EventPosition* const position = out->Add();
    WriteChannel(id, position->mutable_channel());
    position->set_count(channel.num_sent);
    position->set_num_forgotten(channel.num_sent - channel.newest.size());
  }
}

std::vector<EventChannelId> OperatorEventLog::ChannelsOf(ExecutionAttemptId sender) const {
  std::vector<EventChannelId> channels;
  if (const auto found = senders_.find(sender); found != senders_.end()) {
    for (const auto& [id, channel] : found->second) channels.push_back(id);
  }
  return channels;
}

uint64_t OperatorEventLog::NumSent(ExecutionAttemptId sender, const EventChannelId& channel) const {
  const auto found = senders_.find(sender);
  if (found == senders_.end()) return 0;
  const auto sent = found->second.find(channel);
  return sent == found->second.end() ? 0 : sent->second.num_sent;
}

std::vector<proto::TaskManagerMessage> OperatorEventLog::After(ExecutionAttemptId sender,
                                                               const EventChannelId& channel,
                                                               uint64_t num_received) const {
  std::vector<proto::TaskManagerMessage> events;
  const auto found = senders_.find(sender);
  if (found == senders_.end()) return events;
  const auto sent = found->second.find(channel);
  if (sent == found->second.end()) return events;
  const std::deque<proto::TaskManagerMessage>& newest = sent->second.newest;
  const uint64_t num_forgotten = sent->second.num_sent - newest.size();
  const uint64_t begin = num_received > num_forgotten ? num_received - num_forgotten : 0;
  for (uint64_t i = begin; i < newest.size(); ++i) events.push_back(newest[i]);
  return events;
}

}  // namespace weir
