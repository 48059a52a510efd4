// Whole TaskManagers, in this process, against a fake JobManager.

#include "taskmanager/task_manager.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/control_plane.pb.h"
#include "runtime/base/strings.h"
#include "runtime/graph/content_hash.h"
#include "runtime/graph/job_graph.h"
#include "runtime/graph/job_library.h"
#include "taskmanager/wire_ids.h"
#include "tests/support/fake_job_manager.h"

namespace weir {
namespace {

using ::testing::HasSubstr;
using Messages = FakeJobManager::Messages;

std::string ReadFile(const std::string& path) {
  std::ostringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  return std::move(content).str();
}

std::string LibraryBytes() { return ReadFile(StrCat(WEIR_TEST_JOBS, "/libtest_jobs.so")); }

// Returns the newest state an attempt was reported in; CREATED if none was.
proto::TaskState StateOf(const Messages& messages, const std::string& attempt) {
  proto::TaskState state = proto::CREATED;
  for (const auto& heard : messages) {
    if (heard.message.task_state().attempt() == attempt) state = heard.message.task_state().state();
  }
  return state;
}

std::string ErrorOf(const Messages& messages, const std::string& attempt) {
  std::string error;
  for (const auto& heard : messages) {
    if (heard.message.task_state().attempt() == attempt) error = heard.message.task_state().error();
  }
  return error;
}

uint64_t RecordsIn(const Messages& messages, const std::string& attempt) {
  uint64_t records = 0;
  for (const auto& heard : messages) {
    for (const proto::TaskMetrics& task : heard.message.heartbeat().tasks()) {
      if (task.attempt() == attempt) records = task.records_in();
    }
  }
  return records;
}

size_t CountRegistrations(const Messages& messages) {
  size_t count = 0;
  for (const auto& heard : messages) count += heard.message.has_register_() ? 1 : 0;
  return count;
}

// The numbers job of the test library: one source with a coordinator, one sink.
class NumbersDeployment {
 public:
  NumbersDeployment(FakeJobManager& job_manager, std::string entry = "numbers") {
    const auto library = JobLibrary::Load(StrCat(WEIR_TEST_JOBS, "/libtest_jobs.so"));
    const StreamGraph graph = *BuildStreamGraph(**(*library)->Find(entry), *JobArgs::Parse({}));
    graph_ = *BuildJobGraph(graph, {});
    information_.set_job_id(job_id);
    information_.set_job_name(entry);
    information_.set_library_hash(job_manager.PutBlob(LibraryBytes()));
    information_.set_entry(std::move(entry));
    information_.set_job_graph(SerializeJobGraph(graph_));
    information_.set_checkpoint_dir(StrCat(::testing::TempDir(), "/task_manager_test_checkpoints"));
  }

  proto::JobInformation& information() { return information_; }

  // Both tasks and the coordinator, the sink reading from the TaskManager `producer`.
  proto::JobManagerMessage Source(const std::string& producer_id) const {
    static_cast<void>(producer_id);
    proto::JobManagerMessage message = Empty();
    proto::TaskDeployment* const task = message.mutable_deploy()->add_tasks();
    task->set_attempt(source_attempt);
    task->set_vertex(ToWireId(graph_.vertices[0].id));
    proto::OutputDeployment* const output = task->add_outputs();
    output->set_edge(0);
    output->set_num_subpartitions(1);
    proto::CoordinatorDeployment* const coordinator = message.mutable_deploy()->add_coordinators();
    coordinator->set_operator_id(ToWireId(graph_.vertices[0].operators[0].id));
    coordinator->set_attempt(coordinator_attempt);
    coordinator->set_parallelism(1);
    return message;
  }

  proto::JobManagerMessage Sink(const TaskManager& producer) const {
    proto::JobManagerMessage message = Empty();
    AddSink(producer, message.mutable_deploy());
    return message;
  }

  proto::JobManagerMessage Both(const TaskManager& manager) const {
    proto::JobManagerMessage message = Source(manager.id());
    AddSink(manager, message.mutable_deploy());
    return message;
  }

  // What the JobManager does with events: it passes them on.
  [[nodiscard]] proto::JobManagerMessage ToCoordinator(const std::string& payload) const {
    proto::JobManagerMessage message;
    FillEvent(payload, message.mutable_event_to_coordinator());
    return message;
  }
  [[nodiscard]] proto::JobManagerMessage ToSource(const std::string& payload) const {
    proto::JobManagerMessage message;
    FillEvent(payload, message.mutable_event_to_task());
    return message;
  }

  const std::string job_id = ToWireId(RandomId<JobId>());
  const std::string source_attempt = ToWireId(RandomId<ExecutionAttemptId>());
  const std::string sink_attempt = ToWireId(RandomId<ExecutionAttemptId>());
  const std::string coordinator_attempt = ToWireId(RandomId<ExecutionAttemptId>());

 private:
  proto::JobManagerMessage Empty() const {
    proto::JobManagerMessage message;
    message.mutable_deploy()->set_leader_epoch(1);
    *message.mutable_deploy()->mutable_job() = information_;
    return message;
  }

  void AddSink(const TaskManager& producer, proto::DeployTasks* deploy) const {
    proto::TaskDeployment* const task = deploy->add_tasks();
    task->set_attempt(sink_attempt);
    task->set_vertex(ToWireId(graph_.vertices[1].id));
    proto::InputGateDeployment* const gate = task->add_gates();
    gate->set_edge(0);
    proto::ChannelDeployment* const channel = gate->add_channels();
    channel->set_producer_attempt(source_attempt);
    channel->set_edge(0);
    channel->set_subpartition(0);
    channel->set_task_manager_id(producer.id());
    channel->set_host("127.0.0.1");
    channel->set_data_port(producer.data_port());
  }

  void FillEvent(const std::string& payload, proto::OperatorEvent* event) const {
    event->set_job_id(job_id);
    event->set_operator_id(ToWireId(graph_.vertices[0].operators[0].id));
    event->set_subtask(0);
    event->set_payload(payload);
  }

  JobGraph graph_;
  proto::JobInformation information_;
};

class TaskManagerTest : public ::testing::Test {
 protected:
  // Of this test alone.
  static std::string Place() {
    return StrCat(::testing::TempDir(), "/task_manager_test_", getpid(), "_",
                  ::testing::UnitTest::GetInstance()->current_test_info()->name());
  }

  static std::unique_ptr<TaskManager> StartManager(const std::string& address) {
    TaskManagerOptions options;
    options.jobmanager_address = address;
    options.num_workers = 2;
    options.temp_dir = Place();
    auto manager = TaskManager::Start(std::move(options));
    EXPECT_TRUE(manager.ok()) << manager.status();
    return *std::move(manager);
  }

  std::unique_ptr<TaskManager> StartRegistered() {
    const size_t before = CountRegistrations(job_manager_.messages());
    auto manager = StartManager(job_manager_.address());
    EXPECT_TRUE(job_manager_.WaitUntil(
        [&](const Messages& messages) { return CountRegistrations(messages) > before; }));
    // Registered in the sense that messages can be sent: a heartbeat follows the answer.
    EXPECT_TRUE(job_manager_.WaitUntil([&](const Messages& messages) {
      return !messages.empty() && messages.back().task_manager_id == manager->id() &&
             messages.back().message.has_heartbeat();
    }));
    return manager;
  }

  bool WaitForState(const std::string& attempt, proto::TaskState state) {
    return job_manager_.WaitUntil(
        [&](const Messages& messages) { return StateOf(messages, attempt) == state; });
  }

  // Waits for the source's "hello", passes it on, and the coordinator's answer back.
  void IntroduceSource(const NumbersDeployment& job, const TaskManager& manager) {
    ASSERT_TRUE(job_manager_.WaitUntil([&](const Messages& messages) {
      for (const auto& heard : messages) {
        const proto::OperatorEvent& event = heard.message.event_to_coordinator();
        if (event.payload() == "hello" && event.sender_attempt() == job.source_attempt &&
            event.job_id() == job.job_id) {
          return true;
        }
      }
      return false;
    }));
    job_manager_.Send(manager.id(), job.ToCoordinator("hello"));
    ASSERT_TRUE(job_manager_.WaitUntil([&](const Messages& messages) {
      for (const auto& heard : messages) {
        if (heard.message.event_to_task().payload() == "1000" &&
            heard.message.event_to_task().sender_attempt() == job.coordinator_attempt) {
          return true;
        }
      }
      return false;
    }));
    job_manager_.Send(manager.id(), job.ToSource("1000"));
  }

  bool WaitForRecords(const std::string& attempt, uint64_t records) {
    return job_manager_.WaitUntil(
        [&](const Messages& messages) { return RecordsIn(messages, attempt) >= records; });
  }

  ~TaskManagerTest() override { std::filesystem::remove_all(Place()); }

  FakeJobManager job_manager_;
};

TEST_F(TaskManagerTest, SaysWhatItIsWhenItRegisters) {
  const auto manager = StartRegistered();
  const Messages messages = job_manager_.messages();
  const proto::Register& registration = messages.front().message.register_();
  EXPECT_EQ(registration.task_manager_id(), manager->id());
  EXPECT_EQ(registration.data_port(), manager->data_port());
  EXPECT_EQ(registration.num_slots(), 2U);
  EXPECT_EQ(registration.abi_stamp(), std::string(JobLibrary::ProcessAbiStamp()));
}

TEST_F(TaskManagerTest, RegistersOnceTheJobManagerIsThere) {
  FakeJobManager::Options options;
  {
    const FakeJobManager gone;  // Its port is free again, and nobody listens on it.
    options.port = gone.port();
  }
  const auto manager = StartManager(StrCat("127.0.0.1:", options.port));
  FakeJobManager late(options);
  EXPECT_TRUE(
      late.WaitUntil([](const Messages& messages) { return CountRegistrations(messages) > 0; }));
}

TEST_F(TaskManagerTest, EndsWithTheReasonWhenItIsRefused) {
  FakeJobManager::Options options;
  options.refuse_reason = "another version";
  FakeJobManager strict(options);
  const auto manager = StartManager(strict.address());
  EXPECT_THAT(manager->WaitForTermination().ToString(), HasSubstr("another version"));
}

TEST_F(TaskManagerTest, RunsAJobWithinOneProcess) {
  const auto manager = StartRegistered();
  const NumbersDeployment job(job_manager_);
  ASSERT_TRUE(job_manager_.Send(manager->id(), job.Both(*manager)));
  ASSERT_TRUE(WaitForState(job.source_attempt, proto::RUNNING));
  ASSERT_TRUE(WaitForState(job.sink_attempt, proto::RUNNING));
  IntroduceSource(job, *manager);
  ASSERT_TRUE(WaitForRecords(job.sink_attempt, 1000));

  proto::JobManagerMessage trigger;
  trigger.mutable_trigger()->set_checkpoint_id(7);
  trigger.mutable_trigger()->add_attempts(job.source_attempt);
  job_manager_.Send(manager->id(), trigger);
  EXPECT_TRUE(job_manager_.WaitUntil([&](const Messages& messages) {
    std::set<std::string> acknowledged;
    for (const auto& heard : messages) {
      if (heard.message.checkpoint_ack().checkpoint_id() == 7) {
        acknowledged.insert(heard.message.checkpoint_ack().attempt());
      }
    }
    return acknowledged == std::set<std::string>{job.source_attempt, job.sink_attempt};
  }));

  proto::JobManagerMessage snapshot;
  snapshot.mutable_trigger_coordinator()->set_checkpoint_id(8);
  snapshot.mutable_trigger_coordinator()->add_attempts(job.coordinator_attempt);
  job_manager_.Send(manager->id(), snapshot);
  EXPECT_TRUE(job_manager_.WaitUntil([&](const Messages& messages) {
    return std::any_of(messages.begin(), messages.end(), [&](const auto& heard) {
      const proto::CoordinatorCheckpointAck& ack = heard.message.coordinator_ack();
      return ack.checkpoint_id() == 8 && ack.state() == "snapshot 8" &&
             ack.attempt() == job.coordinator_attempt;
    });
  }));

  proto::JobManagerMessage cancel;
  cancel.mutable_cancel()->add_attempts(job.source_attempt);
  cancel.mutable_cancel()->add_attempts(job.sink_attempt);
  cancel.mutable_cancel()->add_coordinators(job.coordinator_attempt);
  job_manager_.Send(manager->id(), cancel);
  EXPECT_TRUE(WaitForState(job.source_attempt, proto::CANCELED));
  EXPECT_TRUE(WaitForState(job.sink_attempt, proto::CANCELED));
}

TEST_F(TaskManagerTest, ShipsRecordsBetweenTwoTaskManagers) {
  const auto producer = StartRegistered();
  const auto consumer = StartRegistered();
  const NumbersDeployment job(job_manager_);
  // The consumer first: it waits for its producer.
  ASSERT_TRUE(job_manager_.Send(consumer->id(), job.Sink(*producer)));
  ASSERT_TRUE(WaitForState(job.sink_attempt, proto::RUNNING));
  ASSERT_TRUE(job_manager_.Send(producer->id(), job.Source(producer->id())));
  ASSERT_TRUE(WaitForState(job.source_attempt, proto::RUNNING));
  IntroduceSource(job, *producer);
  EXPECT_TRUE(WaitForRecords(job.sink_attempt, 1000));
}

TEST_F(TaskManagerTest, FetchesAndBuildsAJobOnceForAllItsTasks) {
  const auto manager = StartRegistered();
  const NumbersDeployment job(job_manager_);
  ASSERT_TRUE(job_manager_.Send(manager->id(), job.Source(manager->id())));
  ASSERT_TRUE(job_manager_.Send(manager->id(), job.Sink(*manager)));
  ASSERT_TRUE(WaitForState(job.source_attempt, proto::RUNNING));
  ASSERT_TRUE(WaitForState(job.sink_attempt, proto::RUNNING));
  EXPECT_EQ(job_manager_.num_fetches(), 1);
}

TEST_F(TaskManagerTest, ActsOnABatchAsOnItsMessagesInOrder) {
  const auto manager = StartRegistered();
  const NumbersDeployment job(job_manager_);
  proto::JobManagerMessage batch;
  *batch.mutable_batch()->add_messages() = job.Both(*manager);
  proto::TriggerCoordinatorCheckpoint* const trigger =
      batch.mutable_batch()->add_messages()->mutable_trigger_coordinator();
  trigger->set_checkpoint_id(8);
  trigger->add_attempts(job.coordinator_attempt);
  ASSERT_TRUE(job_manager_.Send(manager->id(), batch));
  EXPECT_TRUE(WaitForState(job.source_attempt, proto::RUNNING));
  EXPECT_TRUE(WaitForState(job.sink_attempt, proto::RUNNING));
  EXPECT_TRUE(job_manager_.WaitUntil([&](const Messages& messages) {
    return std::any_of(messages.begin(), messages.end(), [](const auto& heard) {
      return heard.message.coordinator_ack().state() == "snapshot 8";
    });
  })) << "it came behind the deployment, so the coordinator was there";
}

TEST_F(TaskManagerTest, TellsOfIdleTasksNowAndThenAndOfActiveOnesAtOnce) {
  const auto manager = StartRegistered();
  const NumbersDeployment job(job_manager_);
  ASSERT_TRUE(job_manager_.Send(manager->id(), job.Both(*manager)));
  const auto tells_of_none = [&](const Messages& messages) {
    return StateOf(messages, job.source_attempt) == proto::RUNNING &&
           StateOf(messages, job.sink_attempt) == proto::RUNNING &&
           messages.back().message.has_heartbeat() &&
           messages.back().message.heartbeat().tasks_size() == 0;
  };
  EXPECT_TRUE(job_manager_.WaitUntil(tells_of_none)) << "there is nothing to read yet";
  IntroduceSource(job, *manager);
  EXPECT_TRUE(WaitForRecords(job.sink_attempt, 1000));
  EXPECT_TRUE(job_manager_.WaitUntil(tells_of_none)) << "all is read";
}

TEST_F(TaskManagerTest, CancelsATaskWhoseJobIsStillBeingFetched) {
  const auto manager = StartRegistered();
  const NumbersDeployment job(job_manager_);
  proto::JobManagerMessage cancel;
  cancel.mutable_cancel()->add_attempts(job.source_attempt);
  cancel.mutable_cancel()->add_attempts(job.sink_attempt);
  ASSERT_TRUE(job_manager_.Send(manager->id(), job.Both(*manager)));
  ASSERT_TRUE(job_manager_.Send(manager->id(), cancel));
  EXPECT_TRUE(WaitForState(job.source_attempt, proto::CANCELED));
  EXPECT_TRUE(WaitForState(job.sink_attempt, proto::CANCELED));
}

TEST_F(TaskManagerTest, ReportsAFailureOfUserCodeWithItsText) {
  const auto manager = StartRegistered();
  const NumbersDeployment job(job_manager_);
  ASSERT_TRUE(job_manager_.Send(manager->id(), job.Both(*manager)));
  ASSERT_TRUE(WaitForState(job.source_attempt, proto::RUNNING));
  job_manager_.Send(manager->id(), job.ToSource("fail"));
  ASSERT_TRUE(WaitForState(job.source_attempt, proto::FAILED));
  EXPECT_THAT(ErrorOf(job_manager_.messages(), job.source_attempt), HasSubstr("told to fail"));
}

TEST_F(TaskManagerTest, FailsTheTasksOfAJobThatCannotBeBuilt) {
  const auto manager = StartRegistered();
  NumbersDeployment job(job_manager_);
  job.information().set_library_hash(std::string(64, 'a'));
  ASSERT_TRUE(job_manager_.Send(manager->id(), job.Both(*manager)));
  ASSERT_TRUE(WaitForState(job.source_attempt, proto::FAILED));
  ASSERT_TRUE(WaitForState(job.sink_attempt, proto::FAILED));
  EXPECT_THAT(ErrorOf(job_manager_.messages(), job.source_attempt), HasSubstr("no such blob"));
  EXPECT_TRUE(job_manager_.WaitUntil([&](const Messages& messages) {
    for (const auto& heard : messages) {
      if (heard.message.coordinator_failed().attempt() == job.coordinator_attempt) return true;
    }
    return false;
  }));
}

TEST_F(TaskManagerTest, RefusesABlobThatIsNotWhatItsNameSays) {
  const auto manager = StartRegistered();
  NumbersDeployment job(job_manager_);
  const std::string hash = ContentHash("something else");
  job_manager_.PutBlobAs(hash, LibraryBytes());
  job.information().set_library_hash(hash);
  ASSERT_TRUE(job_manager_.Send(manager->id(), job.Both(*manager)));
  ASSERT_TRUE(WaitForState(job.source_attempt, proto::FAILED));
  EXPECT_THAT(ErrorOf(job_manager_.messages(), job.source_attempt),
              HasSubstr("not what its name says"));
}

TEST_F(TaskManagerTest, RefusesALibraryThatBuildsAnotherGraph) {
  const auto manager = StartRegistered();
  const NumbersDeployment job(job_manager_, "differ");
  ASSERT_TRUE(job_manager_.Send(manager->id(), job.Both(*manager)));
  ASSERT_TRUE(WaitForState(job.source_attempt, proto::FAILED));
  EXPECT_THAT(ErrorOf(job_manager_.messages(), job.source_attempt),
              HasSubstr("submitted_fingerprint="));
}

TEST_F(TaskManagerTest, CancelsItsTasksAndRegistersAnewWhenTheSameLeaderIsBack) {
  const auto manager = StartRegistered();
  const NumbersDeployment job(job_manager_);
  ASSERT_TRUE(job_manager_.Send(manager->id(), job.Both(*manager)));
  ASSERT_TRUE(WaitForState(job.source_attempt, proto::RUNNING));
  ASSERT_TRUE(WaitForState(job.sink_attempt, proto::RUNNING));
  job_manager_.DropStreams();
  // It comes with what it runs, finds the same leader, and comes again without.
  ASSERT_TRUE(job_manager_.WaitUntil(
      [](const Messages& messages) { return CountRegistrations(messages) == 3; }));
  const Messages messages = job_manager_.messages();
  EXPECT_EQ(messages.back().task_manager_id, manager->id());
  // The first heartbeat after the new registration knows of no task.
  const auto is_new_heartbeat = [](const Messages& all) {
    return all.back().message.has_heartbeat() && CountRegistrations(all) == 3;
  };
  ASSERT_TRUE(job_manager_.WaitUntil(is_new_heartbeat));
  EXPECT_EQ(job_manager_.messages().back().message.heartbeat().tasks_size(), 0);
}

TEST_F(TaskManagerTest, GoesOnWithItsTasksAndReportsThemToTheNextLeader) {
  auto first = std::make_unique<FakeJobManager>(FakeJobManager::Options{.leader_epoch = 1});
  FakeJobManager::Options options{.leader_epoch = 2};
  options.port = first->port();
  const auto manager = StartManager(first->address());
  const NumbersDeployment job(*first);
  ASSERT_TRUE(first->WaitUntil([](const Messages& messages) {
    return !messages.empty() && messages.back().message.has_heartbeat();
  }));
  proto::JobManagerMessage deploy = job.Both(*manager);
  deploy.mutable_deploy()->set_deployment_number(7);
  ASSERT_TRUE(first->Send(manager->id(), deploy));
  const auto greets = [&](const Messages& messages) {
    return std::any_of(messages.begin(), messages.end(), [](const auto& heard) {
      return heard.message.event_to_coordinator().payload() == "hello";
    });
  };
  ASSERT_TRUE(first->WaitUntil([&](const Messages& messages) {
    return StateOf(messages, job.source_attempt) == proto::RUNNING &&
           StateOf(messages, job.sink_attempt) == proto::RUNNING && greets(messages);
  }));
  first.reset();  // Before it passed the source's greeting on.
  FakeJobManager second(options);
  ASSERT_TRUE(
      second.WaitUntil([](const Messages& messages) { return CountRegistrations(messages) == 1; }));
  const proto::Register registration = second.messages().front().message.register_();
  EXPECT_EQ(registration.leader_epoch(), 1u);
  ASSERT_EQ(registration.jobs_size(), 1);
  const proto::RunningJob& reported = registration.jobs(0);
  EXPECT_EQ(reported.job_id(), job.job_id);
  ASSERT_EQ(reported.tasks_size(), 2);
  for (const proto::RunningTask& task : reported.tasks()) {
    EXPECT_EQ(task.state(), proto::RUNNING);
    EXPECT_EQ(task.deployment().number(), 7u);
    EXPECT_EQ(task.sent_size(), task.attempt() == job.source_attempt ? 1 : 0);
  }
  ASSERT_EQ(reported.coordinators_size(), 1);
  EXPECT_EQ(reported.coordinators(0).attempt(), job.coordinator_attempt);

  // The new leader takes them over, and the greeting that was lost comes again.
  proto::JobManagerMessage adopt;
  adopt.mutable_adopt()->set_leader_epoch(2);
  adopt.mutable_adopt()->set_job_id(job.job_id);
  adopt.mutable_adopt()->add_attempts(job.source_attempt);
  adopt.mutable_adopt()->add_attempts(job.sink_attempt);
  adopt.mutable_adopt()->add_coordinators(job.coordinator_attempt);
  ASSERT_TRUE(second.WaitUntil(
      [](const Messages& messages) { return messages.back().message.has_heartbeat(); }));
  EXPECT_FALSE(greets(second.messages()));
  ASSERT_TRUE(second.Send(manager->id(), adopt));
  EXPECT_TRUE(second.WaitUntil(greets));
}

TEST_F(TaskManagerTest, CancelsWhatTheNextLeaderDoesNotWant) {
  auto first = std::make_unique<FakeJobManager>(FakeJobManager::Options{.leader_epoch = 1});
  FakeJobManager::Options options{.leader_epoch = 2};
  options.port = first->port();
  const auto manager = StartManager(first->address());
  const NumbersDeployment job(*first);
  ASSERT_TRUE(first->WaitUntil([](const Messages& messages) {
    return !messages.empty() && messages.back().message.has_heartbeat();
  }));
  ASSERT_TRUE(first->Send(manager->id(), job.Both(*manager)));
  ASSERT_TRUE(first->WaitUntil([&](const Messages& messages) {
    return StateOf(messages, job.sink_attempt) == proto::RUNNING;
  }));
  first.reset();
  FakeJobManager second(options);
  ASSERT_TRUE(second.WaitUntil([](const Messages& messages) {
    return !messages.empty() && messages.back().message.has_heartbeat();
  }));
  proto::JobManagerMessage adopt;
  adopt.mutable_adopt()->set_leader_epoch(2);
  adopt.mutable_adopt()->set_job_id(job.job_id);
  adopt.mutable_adopt()->add_attempts(job.source_attempt);
  ASSERT_TRUE(second.Send(manager->id(), adopt));
  EXPECT_TRUE(second.WaitUntil([&](const Messages& messages) {
    return StateOf(messages, job.sink_attempt) == proto::CANCELED;
  }));
}

TEST_F(TaskManagerTest, CancelsItsTasksWhenItIsDismissed) {
  const auto manager = StartRegistered();
  const NumbersDeployment job(job_manager_);
  ASSERT_TRUE(job_manager_.Send(manager->id(), job.Both(*manager)));
  ASSERT_TRUE(WaitForState(job.source_attempt, proto::RUNNING));
  proto::JobManagerMessage dismissal;
  dismissal.mutable_dismissed()->set_reason("no heartbeat came");
  ASSERT_TRUE(job_manager_.Send(manager->id(), dismissal));
  ASSERT_TRUE(job_manager_.WaitUntil(
      [](const Messages& messages) { return CountRegistrations(messages) == 2; }));
  for (const auto& heard : job_manager_.messages()) {
    EXPECT_EQ(heard.message.register_().jobs_size(), 0);
  }
}

TEST_F(TaskManagerTest, CancelsItsTasksWhenAnAddressIsSilentWhileItHasNoJobManager) {
  auto leader = std::make_unique<FakeJobManager>();
  // It takes connections, so somebody may lead there, who has begun the tasks elsewhere.
  FakeJobManager silent(FakeJobManager::Options{.leader_epoch = 2, .mute = true});
  const auto manager = StartManager(StrCat(leader->address(), ",", silent.address()));
  const NumbersDeployment job(*leader);
  ASSERT_TRUE(leader->WaitUntil([](const Messages& messages) {
    return !messages.empty() && messages.back().message.has_heartbeat();
  }));
  ASSERT_TRUE(leader->Send(manager->id(), job.Both(*manager)));
  ASSERT_TRUE(leader->WaitUntil([&](const Messages& messages) {
    return StateOf(messages, job.sink_attempt) == proto::RUNNING;
  }));
  leader.reset();
  EXPECT_TRUE(silent.WaitUntil([](const Messages& messages) {
    return std::any_of(messages.begin(), messages.end(), [](const auto& heard) {
      return heard.message.register_().jobs_size() == 1;
    });
  }));
  EXPECT_TRUE(silent.WaitUntil([](const Messages& messages) {
    return messages.back().message.has_register_() &&
           messages.back().message.register_().jobs_size() == 0;
  })) << "it registers afresh";
}

TEST_F(TaskManagerTest, CancelsItsTasksWhenTheLeaseLapses) {
  FakeJobManager::Options options;
  options.heartbeat_interval = absl::Milliseconds(20);
  options.heartbeat_timeout = absl::Milliseconds(1500);
  FakeJobManager hanging(options);
  const auto manager = StartManager(hanging.address());
  const NumbersDeployment job(hanging);
  ASSERT_TRUE(hanging.WaitUntil([](const Messages& messages) {
    return !messages.empty() && messages.back().message.has_heartbeat();
  }));
  ASSERT_TRUE(hanging.Send(manager->id(), job.Both(*manager)));
  ASSERT_TRUE(hanging.WaitUntil([&](const Messages& messages) {
    return StateOf(messages, job.source_attempt) == proto::RUNNING;
  }));
  hanging.StopHeartbeats();
  EXPECT_TRUE(hanging.WaitUntil(
      [](const Messages& messages) { return CountRegistrations(messages) >= 2; }));
  const Messages messages = hanging.messages();
  size_t registrations = 0;
  for (const auto& heard : messages) {
    registrations += heard.message.has_register_() ? 1 : 0;
    if (registrations > 1) {
      EXPECT_EQ(heard.message.heartbeat().tasks_size(), 0);
    }
  }
}

TEST_F(TaskManagerTest, DropsDeploymentsOfAnOlderLeader) {
  FakeJobManager::Options options;
  options.leader_epoch = 5;
  FakeJobManager leader(options);
  const auto manager = StartManager(leader.address());
  const NumbersDeployment old_job(leader);
  const NumbersDeployment new_job(leader);
  ASSERT_TRUE(leader.WaitUntil([](const Messages& messages) {
    return !messages.empty() && messages.back().message.has_heartbeat();
  }));
  proto::JobManagerMessage stale = old_job.Both(*manager);
  stale.mutable_deploy()->set_leader_epoch(4);
  ASSERT_TRUE(leader.Send(manager->id(), stale));
  proto::JobManagerMessage current = new_job.Both(*manager);
  current.mutable_deploy()->set_leader_epoch(5);
  ASSERT_TRUE(leader.Send(manager->id(), current));
  ASSERT_TRUE(leader.WaitUntil([&](const Messages& messages) {
    return StateOf(messages, new_job.source_attempt) == proto::RUNNING;
  }));
  EXPECT_EQ(StateOf(leader.messages(), old_job.source_attempt), proto::CREATED);
  EXPECT_EQ(manager->num_stale_messages(), 1U);
}

TEST_F(TaskManagerTest, FindsTheLeaderAmongSeveralJobManagersAndFollowsIt) {
  FakeJobManager::Options options;
  options.leader_epoch = 1;
  auto first = std::make_unique<FakeJobManager>(options);
  options.leader_epoch = 2;
  FakeJobManager second(options);
  const auto manager =
      StartManager(StrCat("127.0.0.1:1, ", first->address(), ",", second.address()));
  const NumbersDeployment job(*first);
  ASSERT_TRUE(first->WaitUntil([](const Messages& messages) {
    return !messages.empty() && messages.back().message.has_heartbeat();
  }));
  EXPECT_TRUE(second.messages().empty());
  proto::JobManagerMessage deploy = job.Both(*manager);
  deploy.mutable_deploy()->set_leader_epoch(1);
  ASSERT_TRUE(first->Send(manager->id(), deploy));
  ASSERT_TRUE(first->WaitUntil([&](const Messages& messages) {
    return StateOf(messages, job.sink_attempt) == proto::RUNNING;
  }));
  first.reset();
  const NumbersDeployment again(second);
  ASSERT_TRUE(second.WaitUntil([](const Messages& messages) {
    return !messages.empty() && messages.back().message.has_heartbeat();
  }));
  EXPECT_TRUE(second.messages().front().message.has_register_());
  deploy = again.Both(*manager);
  deploy.mutable_deploy()->set_leader_epoch(2);
  ASSERT_TRUE(second.Send(manager->id(), deploy));
  ASSERT_TRUE(second.WaitUntil([&](const Messages& messages) {
    return StateOf(messages, again.sink_attempt) == proto::RUNNING;
  }));
  EXPECT_EQ(StateOf(second.messages(), job.sink_attempt), proto::CREATED)
      << "it is asked first whether it wants the old leader's job";
}

TEST_F(TaskManagerTest, ReportsTheEndOfItsTasksBeforeItStops) {
  const auto manager = StartRegistered();
  const NumbersDeployment job(job_manager_);
  ASSERT_TRUE(job_manager_.Send(manager->id(), job.Both(*manager)));
  ASSERT_TRUE(WaitForState(job.source_attempt, proto::RUNNING));
  EXPECT_TRUE(manager->Stop().ok());
  EXPECT_TRUE(WaitForState(job.source_attempt, proto::CANCELED));
  EXPECT_TRUE(manager->WaitForTermination().ok());
}

TEST_F(TaskManagerTest, LeavesNothingOnTheDisk) {
  const std::string place = Place();
  {
    const auto manager = StartRegistered();
    const NumbersDeployment job(job_manager_);
    ASSERT_TRUE(job_manager_.Send(manager->id(), job.Both(*manager)));
    ASSERT_TRUE(WaitForState(job.source_attempt, proto::RUNNING));
    EXPECT_FALSE(std::filesystem::is_empty(place));
  }
  EXPECT_TRUE(std::filesystem::is_empty(place));
}

}  // namespace
}  // namespace weir
