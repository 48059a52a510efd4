#include "taskmanager/control_client.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "proto/control_plane.pb.h"
#include "tests/support/fake_job_manager.h"

namespace weir {
namespace {

using Messages = FakeJobManager::Messages;

class NoListener final : public ControlListener {
 public:
  void OnMessage(std::unique_ptr<proto::JobManagerMessage>) override {}
  void OnStreamEnded(const StreamEnd&) override {}
};

proto::TaskManagerMessage Registration() {
  proto::TaskManagerMessage message;
  message.mutable_register_()->set_task_manager_id("tm-1");
  return message;
}

proto::TaskManagerMessage InputEnded(const std::string& attempt) {
  proto::TaskManagerMessage message;
  message.mutable_input_ended()->set_attempt(attempt);
  return message;
}

std::vector<std::string> Attempts(const Messages& messages) {
  std::vector<std::string> attempts;
  for (const auto& heard : messages) {
    if (heard.message.has_input_ended()) attempts.push_back(heard.message.input_ended().attempt());
  }
  return attempts;
}

class ControlClientTest : public ::testing::Test {
 protected:
  ControlClientTest() {
    client_.Open(Registration());
    EXPECT_TRUE(job_manager_.WaitUntil([](const Messages& messages) { return !messages.empty(); }));
    EXPECT_TRUE(job_manager_.messages().front().message.has_register_());
  }

  FakeJobManager job_manager_;
  NoListener listener_;
  TimerThread timers_;
  ControlClient client_{{.address = job_manager_.address()}, &listener_, &timers_};
};

TEST_F(ControlClientTest, WritesWhatComesTogetherInFewBatchesAndInOrder) {
  constexpr int kMessages = 5000;
  std::vector<std::string> sent;
  for (int i = 0; i < kMessages; ++i) {
    sent.push_back(std::to_string(i));
    client_.Send(InputEnded(sent.back()));
  }
  ASSERT_TRUE(job_manager_.WaitUntil(
      [&](const Messages& messages) { return Attempts(messages).size() == sent.size(); }));
  EXPECT_EQ(Attempts(job_manager_.messages()), sent);
  EXPECT_GT(job_manager_.num_batches(), 0);
  EXPECT_LT(job_manager_.num_batches(), kMessages / 10);
}

TEST_F(ControlClientTest, KeepsBatchesSmall) {
  // Together they are larger than any message may be.
  const std::string large(50 << 20, 'x');
  for (int i = 0; i < 6; ++i) client_.Send(InputEnded(large));
  client_.Send(InputEnded("last"));
  ASSERT_TRUE(job_manager_.WaitUntil(
      [&](const Messages& messages) { return Attempts(messages).size() == 7; }));
  EXPECT_EQ(Attempts(job_manager_.messages()).back(), "last");
}

TEST_F(ControlClientTest, SendsWhatIsQueuedBeforeItStops) {
  for (int i = 0; i < 100; ++i) client_.Send(InputEnded(std::to_string(i)));
  client_.Stop();
  ASSERT_TRUE(job_manager_.WaitUntil(
      [&](const Messages& messages) { return Attempts(messages).size() == 100; }));
}

}  // namespace
}  // namespace weir
