#include "jobmanager/control_server.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <string>

#include "jobmanager/dispatcher.h"
#include "jobmanager/event_loop.h"
#include "operators/testing/manual_clock.h"
#include "proto/control_plane.grpc.pb.h"
#include "runtime/base/mutex.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// A TaskManager's end of the stream, spoken by hand.
class RawClient {
 public:
  explicit RawClient(uint16_t port) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxSendMessageSize(-1);
    // A connection of its own, not one shared with the other clients of the test.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    stub_ = proto::JobManagerService::NewStub(grpc::CreateCustomChannel(
        StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials(), arguments));
  }
  ~RawClient() {
    if (stream_ == nullptr) return;
    context_.TryCancel();
    static_cast<void>(stream_->Finish());
  }

  void Open() { stream_ = stub_->Connect(&context_); }
  void Register(const std::string& id, const std::string& abi_stamp = "abi-1") {
    if (stream_ == nullptr) Open();
    proto::TaskManagerMessage message;
    proto::Register* const registration = message.mutable_register_();
    registration->set_task_manager_id(id);
    registration->set_host("127.0.0.1");
    registration->set_data_port(4711);
    registration->set_num_slots(2);
    registration->set_abi_stamp(abi_stamp);
    Write(message);
  }
  void Write(const proto::TaskManagerMessage& message) { stream_->Write(message); }
  // Returns the next message that is no heartbeat; nothing if the stream has ended.
  std::optional<proto::JobManagerMessage> Read() {
    proto::JobManagerMessage message;
    while (stream_->Read(&message)) {
      if (message.has_batch()) {
        for (const proto::JobManagerMessage& one : message.batch().messages()) {
          if (!one.has_heartbeat()) return one;
        }
      } else if (!message.has_heartbeat()) {
        return message;
      }
    }
    return std::nullopt;
  }
  grpc::Status Finish() {
    const grpc::Status status = stream_->Finish();
    stream_.reset();
    return status;
  }
  void Close() {
    stream_->WritesDone();
    static_cast<void>(Read());
    static_cast<void>(Finish());
  }
  void Break() {
    context_.TryCancel();
    static_cast<void>(Finish());
  }
  // Returns the next message as it comes, whatever it is.
  proto::JobManagerMessage ReadRaw() {
    proto::JobManagerMessage message;
    stream_->Read(&message);
    return message;
  }
  proto::JobManagerService::Stub& stub() { return *stub_; }

 private:
  std::unique_ptr<proto::JobManagerService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<proto::TaskManagerMessage, proto::JobManagerMessage>>
      stream_;
};

class ControlServerTest : public testing::Test {
 protected:
  ControlServerTest()
      : folder_(StrCat(testing::TempDir(), "weir-control-", ToString(RandomId<JobId>()))),
        blobs_(*BlobStore::Open(folder_)),
        builder_("/nonexistent", folder_, absl::Seconds(1)),
        jars_(folder_, folder_, &builder_) {
    dispatcher_ = std::make_unique<Dispatcher>(
        DispatcherOptions{.configuration = Configuration(WeirOptions()),
                          .checkpoint_dir = folder_,
                          .leader_epoch = LeaderEpoch(8),
                          .abi_stamp = "abi-1"},
        &loop_, &blobs_, &jars_, &builder_);
    loop_.Start();
    server_ = *ControlServer::Start({}, &loop_, &blobs_, dispatcher_.get());
  }
  ~ControlServerTest() override {
    server_->Stop();
    loop_.Stop();
    pool_.Shutdown();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  std::vector<TaskManagerInfo> TaskManagers() {
    std::promise<std::vector<TaskManagerInfo>> promise;
    dispatcher_->RequestTaskManagers([&](auto infos) { promise.set_value(*std::move(infos)); });
    return promise.get_future().get();
  }
  // Waits until there are so many TaskManagers; false if that takes too long.
  bool WaitForTaskManagers(size_t count) {
    const Stopwatch watch;
    while (watch.Elapsed() < absl::Seconds(20)) {
      if (TaskManagers().size() == count) return true;
      std::this_thread::yield();
    }
    return false;
  }
  // Afterwards the server's handler hears nothing any more, and may go.
  void Stop(ControlServer& server) {
    server.Stop();
    std::promise<void> heard;
    loop_.Post([&heard] { heard.set_value(); });
    heard.get_future().wait();
  }
  void LetPass(absl::Duration duration) {
    clock_.Advance(duration);
    TaskManagers();  // Wakes the loop, which then sees that timers are due.
  }

  std::string folder_;
  ManualClock clock_;
  IoPool pool_{"test-io", 2};
  EventLoop loop_{&clock_, &pool_};
  BlobStore blobs_;
  JobBuilder builder_;
  JarStore jars_;
  std::unique_ptr<Dispatcher> dispatcher_;
  std::unique_ptr<ControlServer> server_;
};

TEST_F(ControlServerTest, RegistersATaskManager) {
  RawClient client(server_->port());
  client.Register("tm-1");
  const auto answer = client.Read();
  ASSERT_TRUE(answer.has_value() && answer->has_registered());
  EXPECT_EQ(answer->registered().leader_epoch(), 8u);
  EXPECT_EQ(answer->registered().heartbeat_interval_ms(), 1000);
  EXPECT_EQ(answer->registered().heartbeat_timeout_ms(), 5000);
  const std::vector<TaskManagerInfo> infos = TaskManagers();
  ASSERT_THAT(infos, SizeIs(1));
  EXPECT_EQ(infos[0].id, "tm-1");
  EXPECT_EQ(infos[0].num_slots, 2u);
  EXPECT_EQ(infos[0].data_port, 4711u);
}

TEST_F(ControlServerTest, RefusesATaskManagerOfAnotherBuildAndNamesBothStamps) {
  RawClient client(server_->port());
  client.Register("tm-1", "abi-2");
  const auto answer = client.Read();
  ASSERT_TRUE(answer.has_value() && answer->has_refused());
  EXPECT_THAT(answer->refused().reason(), HasSubstr("taskmanager=abi-2 jobmanager=abi-1"));
  EXPECT_FALSE(client.Read().has_value());
  EXPECT_THAT(TaskManagers(), SizeIs(0));
}

TEST_F(ControlServerTest, EndsAStreamThatDoesNotBeginWithRegister) {
  RawClient client(server_->port());
  client.Open();
  proto::TaskManagerMessage message;
  message.mutable_heartbeat();
  client.Write(message);
  EXPECT_FALSE(client.Read().has_value());
  EXPECT_EQ(client.Finish().error_code(), grpc::INVALID_ARGUMENT);
}

TEST_F(ControlServerTest, LosesATaskManagerAtOnceWhenItsStreamCloses) {
  RawClient polite(server_->port());
  polite.Register("tm-1");
  ASSERT_TRUE(polite.Read().has_value());
  RawClient broken(server_->port());
  broken.Register("tm-2");
  ASSERT_TRUE(broken.Read().has_value());
  ASSERT_TRUE(WaitForTaskManagers(2));
  polite.Close();
  EXPECT_TRUE(WaitForTaskManagers(1));
  broken.Break();
  EXPECT_TRUE(WaitForTaskManagers(0));
}

TEST_F(ControlServerTest, LosesATaskManagerThatSendsNoHeartbeats) {
  RawClient silent(server_->port());
  silent.Register("silent");
  ASSERT_TRUE(silent.Read().has_value());
  RawClient alive(server_->port());
  alive.Register("alive");
  ASSERT_TRUE(alive.Read().has_value());
  proto::TaskManagerMessage heartbeat;
  for (int second = 0; second < 7; ++second) {
    heartbeat.mutable_heartbeat()->set_memory_used_bytes(second + 1);
    alive.Write(heartbeat);
    const Stopwatch watch;
    while (watch.Elapsed() < absl::Seconds(20)) {
      const std::vector<TaskManagerInfo> infos = TaskManagers();
      if (!infos.empty() && infos[0].metrics.memory_used_bytes == second + 1) break;
    }
    LetPass(absl::Seconds(1));
  }
  ASSERT_TRUE(WaitForTaskManagers(1));
  EXPECT_EQ(TaskManagers()[0].id, "alive");
  EXPECT_TRUE(silent.Read()->has_dismissed()) << "it is not to go on with what it runs";
  EXPECT_FALSE(silent.Read().has_value()) << "its stream is closed, so that it registers anew";
}

TEST_F(ControlServerTest, ReplacesATaskManagerThatRegistersAgainUnderItsId) {
  RawClient old(server_->port());
  old.Register("tm-1");
  ASSERT_TRUE(old.Read().has_value());
  RawClient fresh(server_->port());
  fresh.Register("tm-1");
  ASSERT_TRUE(fresh.Read().has_value());
  EXPECT_TRUE(old.Read()->has_dismissed());
  EXPECT_FALSE(old.Read().has_value());
  EXPECT_TRUE(WaitForTaskManagers(1));
  // The end of the old stream must not take the new one with it.
  static_cast<void>(old.Finish());
  proto::TaskManagerMessage heartbeat;
  heartbeat.mutable_heartbeat()->set_memory_used_bytes(77);
  fresh.Write(heartbeat);
  const Stopwatch watch;
  int64_t memory = 0;
  while (memory != 77 && watch.Elapsed() < absl::Seconds(20)) {
    const std::vector<TaskManagerInfo> infos = TaskManagers();
    ASSERT_THAT(infos, SizeIs(1));
    memory = infos[0].metrics.memory_used_bytes;
  }
  EXPECT_EQ(memory, 77);
}

TEST_F(ControlServerTest, TakesMessagesOfManyMegabytes) {
  RawClient client(server_->port());
  client.Register("tm-1");
  ASSERT_TRUE(client.Read().has_value());
  proto::TaskManagerMessage message;
  message.mutable_checkpoint_ack()->add_operators()->set_state(std::string(32 << 20, 's'));
  client.Write(message);
  message.mutable_heartbeat()->set_memory_used_bytes(5);
  client.Write(message);
  const Stopwatch watch;
  int64_t memory = 0;
  while (memory != 5 && watch.Elapsed() < absl::Seconds(20)) {
    const std::vector<TaskManagerInfo> infos = TaskManagers();
    ASSERT_THAT(infos, SizeIs(1));
    memory = infos[0].metrics.memory_used_bytes;
  }
  EXPECT_EQ(memory, 5);
}

// Answers a registration with a few messages at once.
class Talkative final : public ControlMessageHandler {
 public:
  void OnRegister(std::shared_ptr<TaskManagerGateway> task_manager,
                  const proto::Register&) override {
    for (const std::string& text : texts) {
      proto::JobManagerMessage message;
      message.mutable_refused()->set_reason(text);
      task_manager->Send(message);
    }
    if (close) task_manager->Close();
  }
  void OnMessage(TaskManagerGateway*, const proto::TaskManagerMessage& message) override {
    const MutexLock lock(&mutex);
    heard.push_back(message.heartbeat().memory_used_bytes());
    if (heard.size() == 5) all_heard.set_value();
  }
  void OnClosed(TaskManagerGateway*) override {}
  void OnCrash(const proto::CrashReport&) override {}

  std::vector<std::string> texts;
  bool close = false;
  Mutex mutex;
  std::vector<int64_t> heard;
  std::promise<void> all_heard;
};

TEST_F(ControlServerTest, SendsWhatIsSaidInOneMailAsOneBatch) {
  Talkative handler;
  handler.texts = {"a", "b", "c"};
  const auto server = *ControlServer::Start({}, &loop_, &blobs_, &handler);
  RawClient client(server->port());
  client.Register("tm-1");
  const proto::JobManagerMessage batch = client.ReadRaw();
  std::vector<std::string> texts;
  for (const auto& one : batch.batch().messages()) texts.push_back(one.refused().reason());
  EXPECT_EQ(texts, handler.texts);
  Stop(*server);
}

TEST_F(ControlServerTest, BatchesNoMoreThanAMegabyteAndSendsAllBeforeItCloses) {
  Talkative handler;
  const std::string large(700 << 10, 'x');
  handler.texts = {large, large, "small"};
  handler.close = true;
  const auto server = *ControlServer::Start({}, &loop_, &blobs_, &handler);
  RawClient client(server->port());
  client.Register("tm-1");
  const proto::JobManagerMessage first = client.ReadRaw();
  EXPECT_EQ(first.refused().reason().size(), large.size()) << "alone";
  const proto::JobManagerMessage rest = client.ReadRaw();
  ASSERT_EQ(rest.batch().messages_size(), 2);
  EXPECT_EQ(rest.batch().messages(1).refused().reason(), "small");
  EXPECT_FALSE(client.Read().has_value());
  Stop(*server);
}

TEST_F(ControlServerTest, TakesABatchAsItsMessagesOneByOne) {
  Talkative handler;
  const auto server = *ControlServer::Start({}, &loop_, &blobs_, &handler);
  RawClient client(server->port());
  client.Register("tm-1");
  proto::TaskManagerMessage one;
  one.mutable_heartbeat()->set_memory_used_bytes(1);
  client.Write(one);
  proto::TaskManagerMessage batch;
  for (int64_t i = 2; i <= 4; ++i) {
    batch.mutable_batch()->add_messages()->mutable_heartbeat()->set_memory_used_bytes(i);
  }
  client.Write(batch);
  one.mutable_heartbeat()->set_memory_used_bytes(5);
  client.Write(one);
  ASSERT_EQ(handler.all_heard.get_future().wait_for(std::chrono::seconds(20)),
            std::future_status::ready);
  EXPECT_THAT(handler.heard, ElementsAre(1, 2, 3, 4, 5));
  Stop(*server);
}

TEST_F(ControlServerTest, StreamsBlobsAndSaysWhatIsWrongWithOthers) {
  std::string content;
  for (int i = 0; content.size() < (3 << 20); ++i) StrAppend(&content, i, ",");
  const std::string hash = *blobs_.Put(content);
  RawClient client(server_->port());
  const auto fetch = [&](const std::string& name, std::string* received) {
    grpc::ClientContext context;
    proto::FetchBlobRequest request;
    request.set_hash(name);
    const auto reader = client.stub().FetchBlob(&context, request);
    proto::BlobChunk chunk;
    while (reader->Read(&chunk)) received->append(chunk.data());
    return reader->Finish();
  };
  std::string received;
  EXPECT_TRUE(fetch(hash, &received).ok());
  EXPECT_EQ(received, content);
  EXPECT_EQ(fetch(std::string(64, 'a'), &received).error_code(), grpc::NOT_FOUND);
  std::ofstream(blobs_.PathOf(hash), std::ios::app) << "x";
  EXPECT_EQ(fetch(hash, &received).error_code(), grpc::DATA_LOSS);
}

TEST_F(ControlServerTest, RefusesAPortThatIsTaken) {
  const auto second =
      ControlServer::Start({.port = server_->port()}, &loop_, &blobs_, dispatcher_.get());
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace weir
