#include "taskmanager/operator_event_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "proto/control_plane.pb.h"
#include "runtime/base/strings.h"
#include "taskmanager/wire_ids.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const ExecutionAttemptId kSender(1, 2);

proto::TaskManagerMessage Event(int number, uint32_t subtask = 0) {
  proto::TaskManagerMessage message;
  proto::OperatorEvent* const event = message.mutable_event_to_task();
  event->set_sender_attempt(ToWireId(kSender));
  event->set_operator_id("op");
  event->set_subtask(subtask);
  event->set_payload(std::to_string(number));
  return message;
}

EventChannelId ToSubtask(uint32_t subtask) {
  return EventChannelId::Of(proto::EventChannel::TO_TASK, Event(0, subtask).event_to_task());
}

std::vector<std::string> Payloads(const std::vector<proto::TaskManagerMessage>& events) {
  std::vector<std::string> payloads;
  for (const auto& event : events) payloads.push_back(event.event_to_task().payload());
  return payloads;
}

TEST(OperatorEventLogTest, ReturnsWhatTheReceiverHasNotCounted) {
  OperatorEventLog log;
  for (int i = 1; i <= 4; ++i) log.Add(kSender, Event(i), /*lost=*/false);
  log.Add(kSender, Event(9, 1), /*lost=*/false);
  EXPECT_THAT(Payloads(log.After(kSender, ToSubtask(0), 2)), ElementsAre("3", "4"));
  EXPECT_THAT(log.After(kSender, ToSubtask(0), 4), IsEmpty());
  EXPECT_THAT(Payloads(log.After(kSender, ToSubtask(1), 0)), ElementsAre("9"));
  EXPECT_THAT(log.ChannelsOf(kSender), SizeIs(2));
  log.Forget(kSender);
  EXPECT_THAT(log.ChannelsOf(kSender), IsEmpty());
}

TEST(OperatorEventLogTest, KeepsTheNewestAndSaysHowManyItHasForgotten) {
  OperatorEventLog log;
  const int count = static_cast<int>(OperatorEventLog::kKept) + 3;
  for (int i = 1; i <= count; ++i) log.Add(kSender, Event(i), /*lost=*/false);
  google::protobuf::RepeatedPtrField<proto::EventPosition> positions;
  log.Describe(kSender, &positions);
  ASSERT_EQ(positions.size(), 1);
  EXPECT_EQ(positions[0].count(), static_cast<uint64_t>(count));
  EXPECT_EQ(positions[0].num_forgotten(), 3u);
  EXPECT_EQ(EventChannelId::FromProto(positions[0].channel()), ToSubtask(0));
  EXPECT_THAT(log.After(kSender, ToSubtask(0), 3), SizeIs(OperatorEventLog::kKept));
}

TEST(OperatorEventLogTest, KeepsAllWhileNobodyTakesThem) {
  OperatorEventLog log;
  const int count = static_cast<int>(OperatorEventLog::kKept) * 3;
  for (int i = 1; i <= count; ++i) log.Add(kSender, Event(i), /*lost=*/true);
  EXPECT_THAT(log.After(kSender, ToSubtask(0), 0), SizeIs(static_cast<size_t>(count)));
  log.Add(kSender, Event(0), /*lost=*/false);
  EXPECT_THAT(log.After(kSender, ToSubtask(0), 0), SizeIs(OperatorEventLog::kKept));
}

}  // namespace
}  // namespace weir
