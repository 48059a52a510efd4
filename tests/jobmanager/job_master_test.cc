#include "jobmanager/job_master.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "jobmanager/checkpoint/checkpoint_storage.h"
#include "jobmanager/dispatcher.h"
#include "jobmanager/proto_ids.h"
#include "proto/control_plane.pb.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"
#include "runtime/network/connection_loss.h"
#include "tests/jobmanager/fake_task_manager.h"
#include "tests/jobmanager/manual_executor.h"
#include "tests/jobmanager/test_graphs.h"

namespace weir {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Kind = proto::JobManagerMessage;

// One task as the fake TaskManagers know it.
struct DeployedTask {
  FakeTaskManager* on = nullptr;
  proto::TaskDeployment deployment;
};

// A job with a real ResourceManager, against TaskManagers that only write down what they hear. The
// graph: source (2 subtasks, coordinator) -> sink (2 subtasks).
class JobMasterTest : public testing::Test, public TaskManagerListener {
 protected:
  JobMasterTest() {
    folder_ = StrCat(testing::TempDir(), "weir-job-", ToString(RandomId<JobId>()));
    settings_.Set(kRestartStrategyType, "fixed-delay");
    settings_.Set(kFixedDelayAttempts, 2);
    settings_.Set(kFixedDelayDelay, absl::Seconds(1));
    description_.id = JobId(3, 4);
    description_.graph = std::make_shared<const JobGraph>(SourceAndSink(2, 2));
    description_.library_hash = "library";
    description_.entry = "entry";
    description_.arguments = {"--x", "1"};
    description_.checkpoint_dir = folder_;
    resources_ = std::make_unique<ResourceManager>(
        ResourceManagerOptions{.leader_epoch = LeaderEpoch(5), .abi_stamp = ""}, &executor_, this);
  }
  ~JobMasterTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
    std::filesystem::remove_all(folder_ + "-second", ignored);
    std::filesystem::remove_all(folder_ + "-savepoints", ignored);
  }

  void OnTaskManagerLost(TaskManagerGateway* task_manager, const absl::Status& reason) override {
    if (job_ != nullptr) job_->OnTaskManagerLost(task_manager, reason);
  }

  std::shared_ptr<FakeTaskManager> AddTaskManager(const std::string& id, uint32_t num_slots) {
    auto task_manager = std::make_shared<FakeTaskManager>(id, num_slots);
    resources_->Register(task_manager, task_manager->Registration());
    executor_.RunUntilIdle();
    return task_manager;
  }

  void StartJob() {
    description_.settings = settings_;
    job_ = std::make_shared<JobMaster>(
        description_,
        JobMasterServices{.executor = &executor_,
                          .resource_manager = resources_.get(),
                          .leader_epoch = LeaderEpoch(5),
                          .on_ended = [this](JobId) { ++num_ends_; }},
        std::make_unique<FolderCheckpointStorage>(description_.checkpoint_dir, &executor_));
    job_->Start();
    executor_.RunUntilIdle();
  }

  // Starts with two TaskManagers of one slot each, and takes note of what was deployed.
  void StartDeployed() {
    first_ = AddTaskManager("tm-1", 1);
    second_ = AddTaskManager("tm-2", 1);
    StartJob();
    NoteDeployment();
  }
  void NoteDeployment() {
    tasks_.clear();
    coordinators_.clear();
    NoteRedeployment();
  }
  // As NoteDeployment, where some tasks went on.
  void NoteRedeployment() {
    for (const auto& task_manager : {first_, second_, third_}) {
      if (task_manager == nullptr) continue;
      for (const Kind& message : task_manager->Take(Kind::kDeploy)) {
        for (const proto::TaskDeployment& task : message.deploy().tasks()) {
          tasks_[{IdFromBytes<JobVertexId>(task.vertex()), task.subtask()}] = {task_manager.get(),
                                                                               task};
        }
        for (const auto& coordinator : message.deploy().coordinators()) {
          std::erase_if(coordinators_, [&](const proto::CoordinatorDeployment& older) {
            return older.operator_id() == coordinator.operator_id();
          });
          coordinators_.push_back(coordinator);
          coordinator_on_ = task_manager.get();
        }
      }
    }
  }
  void StartRunning() {
    StartDeployed();
    ReportAll(proto::RUNNING);
  }

  // Two pipelines, all tasks RUNNING, on as many TaskManagers as the parallelism is: 1 or 2.
  void StartTwoPipelines(uint32_t parallelism = 1) {
    description_.graph = std::make_shared<const JobGraph>(TwoPipelines(parallelism));
    first_ = AddTaskManager("tm-1", 1);
    if (parallelism > 1) second_ = AddTaskManager("tm-2", 1);
    StartJob();
    NoteDeployment();
    ReportAll(proto::RUNNING);
  }

  DeployedTask& Task(uint64_t vertex, uint32_t subtask) {
    return tasks_.at({TestVertex(vertex), subtask});
  }
  void Report(const DeployedTask& task, proto::TaskState state, const std::string& error = "",
              absl::StatusCode code = absl::StatusCode::kInternal) {
    proto::TaskManagerMessage message;
    message.mutable_task_state()->set_attempt(task.deployment.attempt());
    message.mutable_task_state()->set_state(state);
    message.mutable_task_state()->set_error(error);
    if (!error.empty()) message.mutable_task_state()->set_error_code(static_cast<int>(code));
    handled_ = job_->HandleMessage(message);
    executor_.RunUntilIdle();
  }
  void ReportLostConnection(const DeployedTask& task) {
    proto::TaskManagerMessage message;
    message.mutable_task_state()->set_attempt(task.deployment.attempt());
    message.mutable_task_state()->set_state(proto::FAILED);
    message.mutable_task_state()->set_error("the data connection was lost");
    message.mutable_task_state()->set_error_code(static_cast<int>(absl::StatusCode::kUnavailable));
    message.mutable_task_state()->set_exception_name(std::string(kDataConnectionLost));
    message.mutable_task_state()->set_failure_origin(2);
    job_->HandleMessage(message);
  }
  static proto::CrashReport CrashOf(const DeployedTask& task) {
    proto::CrashReport report;
    report.set_task_manager_id(task.on->id());
    report.set_signal("SIGSEGV");
    report.set_attempt(task.deployment.attempt());
    report.set_operator_name("count");
    report.set_uid("count-uid");
    report.set_text("stack:\n#0 here\n");
    return report;
  }
  void ReportAll(proto::TaskState state) {
    for (const auto& [key, task] : tasks_) Report(task, state);
  }
  void InputEnded(const DeployedTask& task) {
    proto::TaskManagerMessage message;
    message.mutable_input_ended()->set_attempt(task.deployment.attempt());
    job_->HandleMessage(message);
    executor_.RunUntilIdle();
  }
  void AckCoordinator(uint64_t checkpoint, const std::string& state) {
    for (const proto::CoordinatorDeployment& coordinator : coordinators_) {
      proto::TaskManagerMessage message;
      message.mutable_coordinator_ack()->set_attempt(coordinator.attempt());
      message.mutable_coordinator_ack()->set_checkpoint_id(checkpoint);
      message.mutable_coordinator_ack()->set_state(state);
      job_->HandleMessage(message);
    }
  }
  void AckTask(const DeployedTask& task, uint64_t checkpoint) {
    proto::TaskManagerMessage message;
    message.mutable_checkpoint_ack()->set_attempt(task.deployment.attempt());
    message.mutable_checkpoint_ack()->set_checkpoint_id(checkpoint);
    job_->HandleMessage(message);
  }
  void CompleteCheckpoint(uint64_t checkpoint, const std::string& coordinator_state = "splits") {
    AckCoordinator(checkpoint, coordinator_state);
    for (const auto& [key, task] : tasks_) AckTask(task, checkpoint);
    executor_.RunUntilIdle();
  }
  // Every task that was asked to cancel says that it has.
  void AnswerCancels(FakeTaskManager* task_manager) {
    for (const Kind& message : task_manager->Take(Kind::kCancel)) {
      for (const std::string& attempt : message.cancel().attempts()) {
        for (const auto& [key, task] : tasks_) {
          if (task.deployment.attempt() == attempt) Report(task, proto::CANCELED);
        }
      }
    }
  }
  std::vector<std::string> StatesOf(uint64_t vertex) {
    std::vector<std::string> states;
    const JobDetails details = job_->Details();
    for (const VertexDetails& candidate : details.vertices) {
      if (candidate.id != TestVertex(vertex)) continue;
      for (const SubtaskDetails& subtask : candidate.subtasks) {
        states.emplace_back(ExecutionStateName(subtask.state));
      }
    }
    return states;
  }

  ManualExecutor executor_;
  std::string folder_;
  Configuration settings_{WeirOptions()};
  JobDescription description_;
  std::unique_ptr<ResourceManager> resources_;
  std::shared_ptr<FakeTaskManager> first_;
  std::shared_ptr<FakeTaskManager> second_;
  std::shared_ptr<FakeTaskManager> third_;
  std::shared_ptr<JobMaster> job_;
  std::map<std::pair<JobVertexId, uint32_t>, DeployedTask> tasks_;
  std::vector<proto::CoordinatorDeployment> coordinators_;
  FakeTaskManager* coordinator_on_ = nullptr;
  bool handled_ = false;
  int num_ends_ = 0;
};

TEST_F(JobMasterTest, WaitsForSlotsAndDeploysOnceTheyAreThere) {
  StartJob();
  EXPECT_EQ(job_->status(), JobStatus::kCreated);
  EXPECT_THAT(StatesOf(1), ElementsAre("SCHEDULED", "SCHEDULED"));
  first_ = AddTaskManager("tm-1", 1);
  EXPECT_EQ(job_->status(), JobStatus::kCreated);
  second_ = AddTaskManager("tm-2", 1);
  EXPECT_EQ(job_->status(), JobStatus::kRunning);
  EXPECT_THAT(StatesOf(1), ElementsAre("DEPLOYING", "DEPLOYING"));
}

TEST_F(JobMasterTest, FailsWhenNoSlotsComeInTime) {
  settings_.Set(kSlotRequestTimeout, absl::Minutes(5));
  StartJob();
  executor_.Advance(absl::Minutes(5) - absl::Milliseconds(1));
  EXPECT_EQ(job_->status(), JobStatus::kCreated);
  executor_.Advance(absl::Milliseconds(1));
  EXPECT_EQ(job_->status(), JobStatus::kFailed);
  EXPECT_THAT(job_->Result().failure->stacktrace, HasSubstr("NoResourceAvailable"));
  EXPECT_EQ(num_ends_, 1);
}

TEST_F(JobMasterTest, DeploysOneMessagePerTaskManagerWithChannelsAndCoordinators) {
  StartDeployed();
  ASSERT_THAT(tasks_, SizeIs(4));
  EXPECT_NE(Task(1, 0).on, Task(1, 1).on) << "subtasks spread over TaskManagers";
  EXPECT_EQ(Task(1, 0).on, Task(2, 0).on) << "vertices share slots by subtask index";
  ASSERT_THAT(coordinators_, SizeIs(1));
  EXPECT_EQ(coordinator_on_, Task(1, 0).on);
  EXPECT_EQ(coordinators_[0].parallelism(), 2u);
  EXPECT_FALSE(coordinators_[0].has_state());

  ASSERT_EQ(Task(1, 1).deployment.outputs_size(), 1);
  EXPECT_EQ(Task(1, 1).deployment.outputs(0).num_subpartitions(), 2u);
  EXPECT_EQ(Task(1, 1).deployment.gates_size(), 0);
  const proto::TaskDeployment& sink = Task(2, 1).deployment;
  ASSERT_EQ(sink.gates_size(), 1);
  ASSERT_EQ(sink.gates(0).channels_size(), 2);
  for (uint32_t producer = 0; producer < 2; ++producer) {
    const proto::ChannelDeployment& channel = sink.gates(0).channels(static_cast<int>(producer));
    EXPECT_EQ(channel.producer_attempt(), Task(1, producer).deployment.attempt());
    EXPECT_EQ(channel.subpartition(), 1u);
    EXPECT_EQ(channel.task_manager_id(), Task(1, producer).on->id());
    EXPECT_EQ(channel.data_port(), 7000u);
  }
}

TEST_F(JobMasterTest, GivesForwardEdgesOneChannelPerSubtask) {
  JobGraph graph = SourceAndSink(2, 2);
  graph.edges[0].strategy = ShipStrategy::kForward;
  description_.graph = std::make_shared<const JobGraph>(graph);
  StartDeployed();
  EXPECT_EQ(Task(1, 1).deployment.outputs(0).num_subpartitions(), 1u);
  ASSERT_EQ(Task(2, 1).deployment.gates(0).channels_size(), 1);
  const proto::ChannelDeployment& channel = Task(2, 1).deployment.gates(0).channels(0);
  EXPECT_EQ(channel.producer_attempt(), Task(1, 1).deployment.attempt());
  EXPECT_EQ(channel.subpartition(), 0u);
}

TEST_F(JobMasterTest, ConnectsRescaledSubtasksInShares) {
  JobGraph graph = SourceAndSink(2, 4);
  graph.edges[0].strategy = ShipStrategy::kRescale;
  description_.graph = std::make_shared<const JobGraph>(graph);
  first_ = AddTaskManager("tm-1", 4);
  StartJob();
  NoteDeployment();
  EXPECT_EQ(Task(1, 1).deployment.outputs(0).num_subpartitions(), 2u);
  ASSERT_EQ(Task(2, 3).deployment.gates(0).channels_size(), 1);
  const proto::ChannelDeployment& channel = Task(2, 3).deployment.gates(0).channels(0);
  EXPECT_EQ(channel.producer_attempt(), Task(1, 1).deployment.attempt());
  EXPECT_EQ(channel.subpartition(), 1u);
  EXPECT_EQ(job_->Details().plan.nodes[1].inputs[0].ship_strategy, "RESCALE");
}

TEST_F(JobMasterTest, NeedsTheLargestParallelismOfEachSlotSharingGroup) {
  JobGraph graph = SourceAndSink(4, 3);
  for (uint64_t number = 3; number <= 6; ++number) {  // Six vertices, at most 4 subtasks each.
    graph.vertices.push_back(graph.vertices[1]);
    graph.vertices.back().id = TestVertex(number);
    graph.vertices.back().operators = {{.id = TestOperator(10 + number), .uid = "u", .name = "n"}};
    graph.vertices.back().parallelism = 4;
  }
  description_.graph = std::make_shared<const JobGraph>(graph);
  first_ = AddTaskManager("tm-1", 4);
  StartJob();
  EXPECT_EQ(job_->status(), JobStatus::kRunning) << "one group: 4 slots";
  EXPECT_EQ(resources_->Overview().num_free_slots, 0u);
  ASSERT_TRUE(job_->Cancel().ok());
  NoteDeployment();
  AnswerCancels(first_.get());

  graph.vertices[1].slot_sharing_group = "heavy";
  description_.graph = std::make_shared<const JobGraph>(graph);
  second_ = AddTaskManager("tm-2", 2);
  StartJob();
  EXPECT_EQ(job_->status(), JobStatus::kCreated) << "4 slots, and 3 of the other group";
  third_ = AddTaskManager("tm-3", 2);
  EXPECT_EQ(job_->status(), JobStatus::kRunning);
  EXPECT_EQ(resources_->Overview().num_free_slots, 1u);
  const std::vector<VertexDetails> vertices = job_->Details().vertices;
  EXPECT_NE(vertices[0].slot_sharing_group, vertices[1].slot_sharing_group);
  EXPECT_EQ(vertices[0].slot_sharing_group, vertices[5].slot_sharing_group);
}

TEST_F(JobMasterTest, PassesAnEventOfACoordinatorOnToAllOthers) {
  JobGraph graph = SourceAndSink(1, 1);
  graph.vertices[1].operators[0].has_coordinator = true;
  description_.graph = std::make_shared<const JobGraph>(graph);
  first_ = AddTaskManager("tm-1", 1);
  StartJob();
  NoteDeployment();
  ASSERT_THAT(coordinators_, SizeIs(2));
  proto::TaskManagerMessage message;
  message.mutable_event_to_coordinators()->set_job_id(IdToBytes(job_->id()));
  message.mutable_event_to_coordinators()->set_sender_attempt(coordinators_[0].attempt());
  message.mutable_event_to_coordinators()->set_operator_id(coordinators_[0].operator_id());
  message.mutable_event_to_coordinators()->set_payload("news");
  job_->HandleMessage(message);
  const std::vector<Kind> sent = first_->Take(Kind::kEventToCoordinators);
  ASSERT_THAT(sent, SizeIs(1));
  EXPECT_EQ(sent[0].event_to_coordinators().payload(), "news");
  message.mutable_event_to_coordinators()->set_sender_attempt("somebody else's");
  job_->HandleMessage(message);
  EXPECT_THAT(first_->Take(Kind::kEventToCoordinators), IsEmpty());
}

TEST_F(JobMasterTest, CarriesEverythingThatATaskManagerNeedsToFindTheCode) {
  first_ = AddTaskManager("tm-1", 2);
  settings_.Set(kCheckpointingInterval, absl::Seconds(7));
  StartJob();
  const std::vector<Kind> messages = first_->Take(Kind::kDeploy);
  ASSERT_THAT(messages, SizeIs(1));
  const proto::DeployTasks& deploy = messages[0].deploy();
  EXPECT_EQ(deploy.leader_epoch(), 5u);
  EXPECT_EQ(deploy.tasks_size(), 4);
  EXPECT_EQ(deploy.job().library_hash(), "library");
  EXPECT_EQ(deploy.job().entry(), "entry");
  EXPECT_THAT(deploy.job().arguments(), ElementsAre("--x", "1"));
  EXPECT_EQ(deploy.job().settings().at("execution.checkpointing.interval"), "7 s");
  ASSERT_TRUE(ParseJobGraph(deploy.job().job_graph()).ok());
}

TEST_F(JobMasterTest, FinishesABoundedJobWithAFinalCheckpointAndRemovesItsCheckpoints) {
  StartRunning();
  InputEnded(Task(1, 0));
  InputEnded(Task(1, 1));
  EXPECT_THAT(first_->Take(Kind::kTriggerCoordinator), SizeIs(1));
  CompleteCheckpoint(1);
  EXPECT_THAT(first_->Take(Kind::kTrigger), SizeIs(1));
  EXPECT_THAT(second_->Take(Kind::kTrigger), SizeIs(1));
  EXPECT_THAT(first_->Take(Kind::kComplete), SizeIs(1));
  EXPECT_THAT(second_->Take(Kind::kComplete), SizeIs(1));
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/chk-1/_metadata"));
  ReportAll(proto::FINISHED);
  EXPECT_EQ(job_->status(), JobStatus::kFinished);
  EXPECT_EQ(num_ends_, 1);
  EXPECT_FALSE(std::filesystem::exists(folder_));
  EXPECT_THAT(first_->Take(Kind::kReleaseJob), SizeIs(1));
  EXPECT_THAT(second_->Take(Kind::kReleaseJob), SizeIs(1));
  EXPECT_THAT(first_->Take(Kind::kCancel), SizeIs(1)) << "closes the coordinator";
  EXPECT_EQ(resources_->Overview().num_free_slots, 2u);
}

TEST_F(JobMasterTest, TriggersNoCheckpointBeforeEveryTaskIsRunning) {
  StartDeployed();
  Report(Task(1, 0), proto::RUNNING);
  Report(Task(1, 1), proto::RUNNING);
  Report(Task(2, 0), proto::RUNNING);
  Report(Task(2, 1), proto::INITIALIZING);
  executor_.Advance(absl::Seconds(4));
  EXPECT_THAT(first_->Take(Kind::kTriggerCoordinator), IsEmpty());
  Report(Task(2, 1), proto::RUNNING);
  executor_.Advance(absl::Seconds(1));
  EXPECT_THAT(first_->Take(Kind::kTriggerCoordinator), SizeIs(1));
}

TEST_F(JobMasterTest, CancelsAllOnAFailureAndRestartsFromTheNewestCheckpoint) {
  StartRunning();
  executor_.Advance(absl::Seconds(1));
  CompleteCheckpoint(1, "splits@1");
  const auto before = tasks_;
  Report(Task(2, 1), proto::FAILED, "division by zero", absl::StatusCode::kInternal);
  EXPECT_EQ(job_->status(), JobStatus::kRestarting);
  EXPECT_THAT(StatesOf(1), ElementsAre("CANCELING", "CANCELING"));
  EXPECT_THAT(StatesOf(2), ElementsAre("CANCELING", "FAILED"));
  executor_.Advance(absl::Seconds(3));
  EXPECT_EQ(job_->status(), JobStatus::kRestarting) << "waits for the cancelled tasks";
  EXPECT_THAT(first_->Take(Kind::kDeploy), IsEmpty());
  AnswerCancels(first_.get());
  AnswerCancels(second_.get());
  executor_.RunUntilIdle();
  ASSERT_EQ(job_->status(), JobStatus::kRunning);
  NoteDeployment();
  ASSERT_THAT(tasks_, SizeIs(4));
  for (const auto& [key, task] : tasks_) {
    EXPECT_NE(task.deployment.attempt(), before.at(key).deployment.attempt());
    EXPECT_EQ(task.deployment.attempt_number(), 1u);
    EXPECT_EQ(task.deployment.restored_checkpoint(), 1u);
  }
  EXPECT_TRUE(coordinators_.at(0).has_state());
  EXPECT_EQ(coordinators_.at(0).state(), "splits@1");
  const ExceptionHistory history = job_->Exceptions(10);
  ASSERT_THAT(history.entries, SizeIs(1));
  EXPECT_EQ(history.entries[0].stacktrace, "division by zero");
  EXPECT_EQ(history.entries[0].exception_name, "INTERNAL");
  EXPECT_EQ(history.entries[0].task_name, "count -> sink (2/2) - execution #0");
  EXPECT_EQ(history.entries[0].endpoint, "host:7000");
}

TEST_F(JobMasterTest, WaitsTheRestartDelay) {
  StartRunning();
  Report(Task(2, 1), proto::FAILED, "oops");
  AnswerCancels(first_.get());
  AnswerCancels(second_.get());
  executor_.Advance(absl::Milliseconds(999));
  EXPECT_EQ(job_->status(), JobStatus::kRestarting);
  executor_.Advance(absl::Milliseconds(1));
  EXPECT_EQ(job_->status(), JobStatus::kRunning);
}

TEST_F(JobMasterTest, GivesUpWhenAttemptsAreUsedUpAndKeepsTheCheckpoints) {
  StartRunning();
  executor_.Advance(absl::Seconds(1));
  CompleteCheckpoint(1);
  for (int failure = 0; failure < 3; ++failure) {
    EXPECT_EQ(job_->status(), JobStatus::kRunning);
    Report(Task(1, 0), proto::FAILED, StrCat("failure ", failure));
    AnswerCancels(first_.get());
    AnswerCancels(second_.get());
    executor_.Advance(absl::Seconds(1));
    if (failure < 2) NoteDeployment();
  }
  EXPECT_EQ(job_->status(), JobStatus::kFailed);
  EXPECT_EQ(job_->Result().failure->stacktrace, "failure 2");
  EXPECT_THAT(job_->Exceptions(10).entries, SizeIs(3));
  EXPECT_THAT(job_->Exceptions(2).entries, SizeIs(2));
  EXPECT_TRUE(job_->Exceptions(2).truncated);
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/chk-1/_metadata"));
  EXPECT_EQ(resources_->Overview().num_free_slots, 2u);
}

TEST_F(JobMasterTest, TellsUserCodeFromTheLossOfAMachine) {
  settings_.Set(kFixedDelayAttempts, 100);
  StartRunning();
  proto::TaskManagerMessage message;
  proto::TaskStateChanged* const failed = message.mutable_task_state();
  failed->set_attempt(Task(1, 0).deployment.attempt());
  failed->set_state(proto::FAILED);
  failed->set_error("user code threw an exception: bad row");
  failed->set_error_code(static_cast<int>(absl::StatusCode::kInternal));
  failed->set_exception_name("std::out_of_range");
  failed->set_failure_origin(1);
  job_->HandleMessage(message);
  AnswerCancels(first_.get());
  AnswerCancels(second_.get());
  executor_.Advance(absl::Seconds(1));
  NoteDeployment();
  resources_->OnClosed(second_.get());
  const ExceptionHistory history = job_->Exceptions(10);
  ASSERT_THAT(history.entries, SizeIs(2));
  EXPECT_EQ(history.entries[0].exception_name, "TaskManagerLost");
  EXPECT_EQ(history.entries[0].failure_labels.at("type"), "SYSTEM");
  EXPECT_EQ(history.entries[0].taskmanager_id, "tm-2");
  EXPECT_EQ(history.entries[1].exception_name, "std::out_of_range");
  EXPECT_EQ(history.entries[1].failure_labels.at("type"), "USER");
  EXPECT_EQ(history.entries[1].task_name, "Source: gen (1/2) - execution #0");
}

TEST_F(JobMasterTest, NamesACrashAsTheCauseOfTheFailure) {
  StartRunning();
  const proto::CrashReport report = CrashOf(Task(2, 1));
  job_->OnCrash(report);
  EXPECT_EQ(job_->status(), JobStatus::kRestarting);
  resources_->OnCrashed(report);
  const ExceptionHistory history = job_->Exceptions(10);
  ASSERT_THAT(history.entries, SizeIs(1));
  EXPECT_EQ(history.entries[0].exception_name, "SIGSEGV");
  EXPECT_EQ(history.entries[0].failure_labels.at("type"), "USER");
  EXPECT_EQ(history.entries[0].task_name, "count -> sink (2/2) - execution #0");
  EXPECT_THAT(history.entries[0].stacktrace, HasSubstr("operator=count uid=count-uid"));
  EXPECT_THAT(history.entries[0].stacktrace, HasSubstr("#0 here"));
  EXPECT_THAT(history.entries[0].concurrent, IsEmpty()) << "the region is told of once";
  EXPECT_EQ(resources_->Overview().num_taskmanagers, 1u);
}

TEST_F(JobMasterTest, CountsACrashOnceForAllRegionsOfTheProcess) {
  settings_.Set(kFixedDelayAttempts, 1);
  StartTwoPipelines();
  second_ = AddTaskManager("tm-2", 1);
  const proto::CrashReport report = CrashOf(Task(2, 0));
  job_->OnCrash(report);
  EXPECT_EQ(job_->status(), JobStatus::kRestarting);
  for (uint64_t vertex = 1; vertex <= 4; ++vertex) {
    EXPECT_THAT(StatesOf(vertex), ElementsAre("FAILED")) << vertex;
  }
  resources_->OnCrashed(report);
  const ExceptionHistory history = job_->Exceptions(10);
  ASSERT_THAT(history.entries, SizeIs(1));
  EXPECT_EQ(history.entries[0].exception_name, "SIGSEGV");
  EXPECT_EQ(history.entries[0].task_name, "count -> sink (1/1) - execution #0");
  ASSERT_THAT(history.entries[0].concurrent, SizeIs(1)) << "the other region";
  EXPECT_EQ(history.entries[0].concurrent[0].task_name, "Source: gen (1/1) - execution #0");
  executor_.Advance(absl::Seconds(1));
  EXPECT_EQ(job_->status(), JobStatus::kRunning);
  NoteDeployment();
  EXPECT_THAT(tasks_, SizeIs(4)) << "all begin anew, together";
}

TEST_F(JobMasterTest, CountsALossOnceForAllRegionsOfTheTaskManager) {
  settings_.Set(kFixedDelayAttempts, 1);
  StartTwoPipelines();
  second_ = AddTaskManager("tm-2", 1);
  resources_->OnClosed(first_.get());
  const ExceptionHistory history = job_->Exceptions(10);
  ASSERT_THAT(history.entries, SizeIs(1));
  EXPECT_EQ(history.entries[0].exception_name, "TaskManagerLost");
  EXPECT_THAT(history.entries[0].concurrent, SizeIs(1));
  executor_.Advance(absl::Seconds(1));
  EXPECT_EQ(job_->status(), JobStatus::kRunning);
}

TEST_F(JobMasterTest, CountsALossOnceThatPeersInTwoRegionsToldOfFirst) {
  settings_.Set(kFixedDelayAttempts, 1);
  StartTwoPipelines(/*parallelism=*/2);
  third_ = AddTaskManager("tm-3", 1);
  ReportLostConnection(Task(2, 0));
  ReportLostConnection(Task(4, 0));
  EXPECT_EQ(job_->Exceptions(10).entries.at(0).exception_name, "DataConnectionLost");
  resources_->OnClosed(second_.get());
  const ExceptionHistory history = job_->Exceptions(10);
  ASSERT_THAT(history.entries, SizeIs(1));
  EXPECT_EQ(history.entries[0].exception_name, "TaskManagerLost");
  EXPECT_EQ(history.entries[0].taskmanager_id, "tm-2");
  ASSERT_THAT(history.entries[0].concurrent, SizeIs(2)) << "what its peers told of";
  EXPECT_EQ(history.entries[0].concurrent[0].exception_name, "DataConnectionLost");
  EXPECT_EQ(history.entries[0].concurrent[1].exception_name, "DataConnectionLost");
  AnswerCancels(first_.get());
  executor_.Advance(absl::Seconds(1));
  EXPECT_EQ(job_->status(), JobStatus::kRunning);
}

TEST_F(JobMasterTest, NamesACrashThatPeersToldOfFirst) {
  settings_.Set(kFixedDelayAttempts, 1);
  StartTwoPipelines(/*parallelism=*/2);
  third_ = AddTaskManager("tm-3", 1);
  ReportLostConnection(Task(4, 0));
  const proto::CrashReport report = CrashOf(Task(4, 1));
  job_->OnCrash(report);
  resources_->OnCrashed(report);
  const ExceptionHistory history = job_->Exceptions(10);
  ASSERT_THAT(history.entries, SizeIs(1));
  EXPECT_EQ(history.entries[0].exception_name, "SIGSEGV");
  ASSERT_THAT(history.entries[0].concurrent, SizeIs(2)) << "the peer, and the other region";
  AnswerCancels(first_.get());
  executor_.Advance(absl::Seconds(1));
  EXPECT_EQ(job_->status(), JobStatus::kRunning);
}

TEST_F(JobMasterTest, RestartsATaskThatItsTaskManagerCancelledUnasked) {
  StartTwoPipelines();
  second_ = AddTaskManager("tm-2", 1);
  ReportAll(proto::CANCELING);  // The TaskManager is being stopped.
  EXPECT_THAT(StatesOf(1), ElementsAre("RUNNING"));
  ReportAll(proto::CANCELED);
  EXPECT_EQ(job_->status(), JobStatus::kRestarting) << "not FINISHED, for nothing has ended";
  EXPECT_THAT(job_->Exceptions(1).entries.at(0).stacktrace, HasSubstr("without being asked"));
}

TEST_F(JobMasterTest, CountsALossThatComesAfterAnotherFailureByItself) {
  settings_.Set(kFixedDelayAttempts, 1);
  StartTwoPipelines();
  Report(Task(2, 0), proto::FAILED, "oops");
  EXPECT_EQ(job_->status(), JobStatus::kRestarting);
  resources_->OnClosed(first_.get());
  EXPECT_THAT(job_->Exceptions(10).entries, SizeIs(2));
  EXPECT_EQ(job_->status(), JobStatus::kFailed);
}

TEST_F(JobMasterTest, GivesALossItsCauseWhenTheCrashIsToldLater) {
  StartRunning();
  proto::CrashReport report;
  report.set_task_manager_id(second_->id());
  report.set_pid(77);
  report.set_signal("SIGABRT");
  report.set_attempt(IdToBytes(ExecutionAttemptId(8, 8)));
  report.set_text("stack:\n#0 here\n");
  resources_->OnClosed(second_.get());
  job_->OnCrash(report);
  const ExceptionHistory history = job_->Exceptions(10);
  ASSERT_THAT(history.entries, SizeIs(1));
  EXPECT_EQ(history.entries[0].exception_name, "SIGABRT");
  EXPECT_THAT(history.entries[0].stacktrace, HasSubstr("#0 here"));
  EXPECT_THAT(history.entries[0].stacktrace, HasSubstr("was lost"));
  second_ = AddTaskManager("tm-2", 1);
  resources_->OnCrashed(report);
  EXPECT_TRUE(resources_->IsRegistered(second_.get())) << "the crash was of an earlier process";
}

TEST_F(JobMasterTest, KeepsTheNewestFailuresOnly) {
  settings_.Set(kFixedDelayAttempts, 100);
  settings_.Set(kExceptionHistorySize, 2);
  StartRunning();
  for (int failure = 0; failure < 3; ++failure) {
    Report(Task(1, 0), proto::FAILED, StrCat("failure ", failure));
    AnswerCancels(first_.get());
    AnswerCancels(second_.get());
    executor_.Advance(absl::Seconds(1));
    NoteDeployment();
  }
  const ExceptionHistory history = job_->Exceptions(10);
  ASSERT_THAT(history.entries, SizeIs(2));
  EXPECT_EQ(history.entries[0].stacktrace, "failure 2");
  EXPECT_EQ(history.entries[1].stacktrace, "failure 1");
  EXPECT_TRUE(history.truncated);
}

TEST_F(JobMasterTest, RecordsFailuresThatFollowAsConcurrent) {
  StartRunning();
  Report(Task(1, 0), proto::FAILED, "root");
  Report(Task(2, 0), proto::FAILED, "consequence");
  const ExceptionHistory history = job_->Exceptions(10);
  ASSERT_THAT(history.entries, SizeIs(1));
  ASSERT_THAT(history.entries[0].concurrent, SizeIs(1));
  EXPECT_EQ(history.entries[0].concurrent[0].stacktrace, "consequence");
}

TEST_F(JobMasterTest, DropsAndCountsMessagesOfOlderAttemptsAndIllegalMoves) {
  StartRunning();
  const auto old = tasks_;
  Report(Task(1, 0), proto::DEPLOYING);
  EXPECT_EQ(job_->num_stale_messages(), 1u);
  Report(Task(1, 0), proto::FAILED, "oops");
  AnswerCancels(first_.get());
  AnswerCancels(second_.get());
  executor_.Advance(absl::Seconds(1));
  NoteDeployment();
  Report(old.at({TestVertex(1), 1}), proto::FAILED, "late");
  EXPECT_FALSE(handled_);
  EXPECT_EQ(job_->status(), JobStatus::kRunning);
  EXPECT_THAT(job_->Exceptions(10).entries, SizeIs(1));
}

TEST_F(JobMasterTest, RestartsOnANewTaskManagerAfterTheLossOfOne) {
  StartRunning();
  executor_.Advance(absl::Seconds(1));
  CompleteCheckpoint(1);
  resources_->OnClosed(second_.get());
  EXPECT_EQ(job_->status(), JobStatus::kRestarting);
  AnswerCancels(first_.get());
  executor_.Advance(absl::Seconds(1));
  EXPECT_EQ(job_->status(), JobStatus::kCreated) << "waits for a slot";
  third_ = AddTaskManager("tm-3", 1);
  EXPECT_EQ(job_->status(), JobStatus::kRunning);
  NoteDeployment();
  EXPECT_EQ(Task(1, 0).deployment.restored_checkpoint(), 1u);
  EXPECT_THAT(job_->Exceptions(1).entries[0].stacktrace, HasSubstr("tm-2"));
}

TEST_F(JobMasterTest, NamesALostTaskManagerBesideTheBrokenConnectionsItCaused) {
  StartRunning();
  Report(Task(2, 0), proto::FAILED, "connection broke", absl::StatusCode::kUnavailable);
  resources_->OnClosed(second_.get());
  const ExceptionHistory history = job_->Exceptions(10);
  ASSERT_THAT(history.entries, SizeIs(1));
  EXPECT_EQ(history.entries[0].stacktrace, "connection broke");
  ASSERT_THAT(history.entries[0].concurrent, SizeIs(1));
  EXPECT_THAT(history.entries[0].concurrent[0].stacktrace, HasSubstr("tm-2"));
}

TEST_F(JobMasterTest, NeedsNoAnswerFromALostTaskManagerInAnyState) {
  for (const proto::TaskState state : {proto::CREATED, proto::INITIALIZING, proto::RUNNING}) {
    SCOPED_TRACE(proto::TaskState_Name(state));
    settings_.Set(kFixedDelayAttempts, 100);
    StartDeployed();
    if (state != proto::CREATED) ReportAll(state);
    resources_->OnClosed(second_.get());
    EXPECT_EQ(job_->status(), JobStatus::kRestarting);
    resources_->OnClosed(first_.get());
    executor_.Advance(absl::Seconds(1));
    EXPECT_EQ(job_->status(), JobStatus::kCreated);
    first_ = AddTaskManager("tm-1", 1);
    second_ = AddTaskManager("tm-2", 1);
    EXPECT_EQ(job_->status(), JobStatus::kRunning);
    NoteDeployment();
    // Lost while it cancels: nothing more to wait for.
    ASSERT_TRUE(job_->Cancel().ok());
    EXPECT_EQ(job_->status(), JobStatus::kCancelling);
    resources_->OnClosed(first_.get());
    EXPECT_EQ(job_->status(), JobStatus::kCancelling);
    resources_->OnClosed(second_.get());
    EXPECT_EQ(job_->status(), JobStatus::kCanceled);
  }
}

TEST_F(JobMasterTest, RestartsWhenATaskManagerIsLostBeforeDeployment) {
  first_ = AddTaskManager("tm-1", 1);
  second_ = AddTaskManager("tm-2", 1);
  StartRunning();
  executor_.set_hold_blocking(true);
  executor_.Advance(absl::Seconds(1));
  executor_.set_hold_blocking(false);
  CompleteCheckpoint(1);
  Report(Task(1, 0), proto::FAILED, "oops");
  AnswerCancels(first_.get());
  AnswerCancels(second_.get());
  executor_.set_hold_blocking(true);  // The checkpoint is being read.
  executor_.Advance(absl::Seconds(1));
  EXPECT_EQ(job_->status(), JobStatus::kCreated);
  resources_->OnClosed(second_.get());
  EXPECT_EQ(job_->status(), JobStatus::kRestarting);
  executor_.set_hold_blocking(false);
  second_ = AddTaskManager("tm-2", 1);
  executor_.Advance(absl::Seconds(1));
  EXPECT_EQ(job_->status(), JobStatus::kRunning);
  NoteDeployment();
  EXPECT_THAT(tasks_, SizeIs(4)) << "deployed once, by the newest attempt alone";
}

TEST_F(JobMasterTest, RestartsOnlyTheRegionThatFailed) {
  StartTwoPipelines();
  executor_.Advance(absl::Seconds(1));
  CompleteCheckpoint(1, "splits@1");
  executor_.Advance(absl::Seconds(1));  // Checkpoint 2 is under way.
  first_->received.clear();
  const auto before = tasks_;
  Report(Task(2, 0), proto::FAILED, "oops");
  EXPECT_EQ(job_->status(), JobStatus::kRestarting);
  EXPECT_THAT(StatesOf(1), ElementsAre("CANCELING"));
  EXPECT_THAT(StatesOf(2), ElementsAre("FAILED"));
  EXPECT_THAT(StatesOf(3), ElementsAre("RUNNING"));
  EXPECT_THAT(StatesOf(4), ElementsAre("RUNNING"));
  EXPECT_THAT(first_->Take(Kind::kAborted), SizeIs(1)) << "the others hear of checkpoint 2's end";
  AnswerCancels(first_.get());
  executor_.Advance(absl::Seconds(1));
  EXPECT_EQ(job_->status(), JobStatus::kRunning);
  NoteRedeployment();
  for (const uint64_t vertex : {1U, 2U}) {
    EXPECT_NE(Task(vertex, 0).deployment.attempt(),
              before.at({TestVertex(vertex), 0}).deployment.attempt());
    EXPECT_EQ(Task(vertex, 0).deployment.attempt_number(), 1u);
    EXPECT_EQ(Task(vertex, 0).deployment.restored_checkpoint(), 1u);
  }
  for (const uint64_t vertex : {3U, 4U}) {
    EXPECT_EQ(Task(vertex, 0).deployment.attempt(),
              before.at({TestVertex(vertex), 0}).deployment.attempt());
    EXPECT_EQ(job_->Details().vertices[vertex - 1].subtasks[0].attempt_number, 0u);
  }
  ASSERT_THAT(coordinators_, SizeIs(2));
  EXPECT_EQ(coordinators_.back().operator_id(), IdToBytes(TestOperator(1)));
  EXPECT_EQ(coordinators_.back().state(), "splits@1");

  resources_->OnHeartbeat(first_.get(), {});
  executor_.Advance(absl::Seconds(3));
  EXPECT_THAT(first_->Take(Kind::kTriggerCoordinator), IsEmpty()) << "not all tasks are RUNNING";
  Report(Task(1, 0), proto::RUNNING);
  Report(Task(2, 0), proto::RUNNING);
  executor_.Advance(absl::Seconds(1));
  const auto triggers = first_->Take(Kind::kTriggerCoordinator);
  ASSERT_THAT(triggers, SizeIs(1));
  EXPECT_EQ(triggers[0].trigger_coordinator().attempts_size(), 2) << "both coordinators";
  CompleteCheckpoint(triggers[0].trigger_coordinator().checkpoint_id());
  EXPECT_EQ(job_->Checkpoints().counts.completed, 2);
  EXPECT_EQ(job_->Checkpoints().counts.failed, 1);
}

TEST_F(JobMasterTest, GoesBackWithTheWholeJobWhenARegionFindsTheNewestCheckpointDamaged) {
  settings_.Set(kCheckpointingNumRetained, 2);
  StartTwoPipelines();
  for (uint64_t checkpoint = 1; checkpoint <= 2; ++checkpoint) {
    executor_.Advance(absl::Seconds(1));
    CompleteCheckpoint(checkpoint, StrCat("splits@", checkpoint));
  }
  std::filesystem::resize_file(folder_ + "/chk-2/_metadata", 10);
  Report(Task(2, 0), proto::FAILED, "oops");
  AnswerCancels(first_.get());
  executor_.Advance(absl::Seconds(1));
  EXPECT_EQ(job_->status(), JobStatus::kRestarting);
  EXPECT_THAT(StatesOf(3), ElementsAre("CANCELING"));
  AnswerCancels(first_.get());
  executor_.Advance(absl::Seconds(1));
  ASSERT_EQ(job_->status(), JobStatus::kRunning);
  NoteDeployment();
  ASSERT_THAT(tasks_, SizeIs(4));
  for (const auto& [key, task] : tasks_) EXPECT_EQ(task.deployment.restored_checkpoint(), 1u);
  ReportAll(proto::RUNNING);
  first_->received.clear();
  resources_->OnHeartbeat(first_.get(), {});
  executor_.Advance(absl::Seconds(1));
  EXPECT_THAT(first_->Take(Kind::kTriggerCoordinator), SizeIs(1)) << "checkpoints go on";
}

TEST_F(JobMasterTest, RestartsTheWholeJobWhereAsked) {
  settings_.Set(kFailoverStrategy, "full");
  StartTwoPipelines();
  Report(Task(2, 0), proto::FAILED, "oops");
  EXPECT_THAT(StatesOf(3), ElementsAre("CANCELING"));
  AnswerCancels(first_.get());
  executor_.Advance(absl::Seconds(1));
  NoteDeployment();
  EXPECT_EQ(Task(4, 0).deployment.attempt_number(), 1u);
}

TEST_F(JobMasterTest, RestartsARegionThatFailsMeanwhileWithTheFirst) {
  StartTwoPipelines();
  Report(Task(2, 0), proto::FAILED, "first");
  AnswerCancels(first_.get());
  executor_.Advance(absl::Milliseconds(900));
  Report(Task(3, 0), proto::FAILED, "second");
  EXPECT_THAT(StatesOf(4), ElementsAre("CANCELING"));
  EXPECT_THAT(job_->Exceptions(10).entries, SizeIs(2)) << "each a failure of its own";
  executor_.Advance(absl::Seconds(2));
  EXPECT_EQ(job_->status(), JobStatus::kRestarting) << "waits for the second region's tasks";
  AnswerCancels(first_.get());
  EXPECT_EQ(job_->status(), JobStatus::kRunning);
  NoteDeployment();
  EXPECT_THAT(tasks_, SizeIs(4));
}

TEST_F(JobMasterTest, LosesOnlyTheRegionsOfALostTaskManagerAndTakesASlotFromAnother) {
  JobGraph graph = TwoPipelines(1);
  graph.vertices[2].slot_sharing_group = graph.vertices[3].slot_sharing_group = "other";
  description_.graph = std::make_shared<const JobGraph>(graph);
  StartRunning();
  ASSERT_NE(Task(1, 0).on, Task(3, 0).on);
  FakeTaskManager* const lost = Task(3, 0).on;
  const std::string kept = Task(1, 0).deployment.attempt();
  resources_->OnClosed(lost);
  executor_.Advance(absl::Seconds(1));
  EXPECT_EQ(job_->status(), JobStatus::kRestarting) << "waits for a slot";
  EXPECT_THAT(StatesOf(3), ElementsAre("SCHEDULED"));
  EXPECT_THAT(StatesOf(1), ElementsAre("RUNNING"));
  third_ = AddTaskManager("tm-3", 1);
  EXPECT_EQ(job_->status(), JobStatus::kRunning);
  NoteRedeployment();
  EXPECT_EQ(Task(3, 0).on, third_.get());
  EXPECT_EQ(Task(1, 0).deployment.attempt(), kept);
  EXPECT_EQ(resources_->Overview().num_free_slots, 0u);
}

TEST_F(JobMasterTest, MergesWithAFailureWhileARegionWaitsForASlot) {
  JobGraph graph = TwoPipelines(1);
  graph.vertices[2].slot_sharing_group = graph.vertices[3].slot_sharing_group = "other";
  description_.graph = std::make_shared<const JobGraph>(graph);
  StartRunning();
  FakeTaskManager* const lost = Task(3, 0).on;
  FakeTaskManager* const left = Task(1, 0).on;
  resources_->OnClosed(lost);
  executor_.Advance(absl::Seconds(1));
  Report(Task(1, 0), proto::FAILED, "oops");
  AnswerCancels(left);
  third_ = AddTaskManager("tm-3", 1);
  EXPECT_EQ(resources_->Overview().num_free_slots, 1u) << "the request was withdrawn";
  executor_.Advance(absl::Seconds(1));
  EXPECT_EQ(job_->status(), JobStatus::kRunning);
  NoteDeployment();
  EXPECT_THAT(tasks_, SizeIs(4));
  EXPECT_EQ(Task(1, 0).on, left) << "where it was";
  EXPECT_EQ(resources_->Overview().num_free_slots, 0u);
}

TEST_F(JobMasterTest, FinishesWithARegionThatHadFinishedBeforeAnotherFailed) {
  StartTwoPipelines();
  InputEnded(Task(1, 0));
  executor_.Advance(absl::Seconds(1));
  CompleteCheckpoint(1);
  Report(Task(1, 0), proto::FINISHED);
  Report(Task(2, 0), proto::FINISHED);
  Report(Task(4, 0), proto::FAILED, "oops");
  AnswerCancels(first_.get());
  executor_.Advance(absl::Seconds(1));
  NoteRedeployment();
  EXPECT_EQ(Task(2, 0).deployment.attempt_number(), 0u);
  EXPECT_EQ(Task(4, 0).deployment.attempt_number(), 1u);
  Report(Task(3, 0), proto::RUNNING);
  Report(Task(4, 0), proto::RUNNING);
  first_->received.clear();
  InputEnded(Task(3, 0));
  const auto triggers = first_->Take(Kind::kTriggerCoordinator);
  ASSERT_THAT(triggers, SizeIs(1)) << "the last checkpoint";
  EXPECT_EQ(triggers[0].trigger_coordinator().attempts_size(), 2);
  Report(Task(3, 0), proto::FINISHED);
  Report(Task(4, 0), proto::FINISHED);
  EXPECT_EQ(job_->status(), JobStatus::kFinished);
}

TEST_F(JobMasterTest, KeepsItsSlotsWhenItRestarts) {
  StartRunning();
  const auto before = tasks_;
  AddTaskManager("tm-0", 4);
  Report(Task(1, 0), proto::FAILED, "oops");
  AnswerCancels(first_.get());
  AnswerCancels(second_.get());
  executor_.Advance(absl::Seconds(1));
  NoteDeployment();
  ASSERT_THAT(tasks_, SizeIs(4));
  for (const auto& [key, task] : tasks_) EXPECT_EQ(task.on, before.at(key).on);
}

TEST_F(JobMasterTest, PutsSubtasksBackWhereTheyWereWhenATaskManagerIsLost) {
  StartRunning();
  FakeTaskManager* const kept = Task(1, 1).on;
  third_ = AddTaskManager("tm-0", 1);  // Before the others in any order by name.
  resources_->OnClosed(Task(1, 0).on);
  AnswerCancels(kept);
  executor_.Advance(absl::Seconds(1));
  NoteDeployment();
  EXPECT_EQ(Task(1, 1).on, kept);
  EXPECT_EQ(Task(1, 0).on, third_.get());
}

TEST_F(JobMasterTest, IgnoresTheLossOfATaskManagerThatRunsNothingOfIt) {
  StartRunning();
  auto idle = AddTaskManager("tm-9", 4);
  resources_->OnClosed(idle.get());
  EXPECT_EQ(job_->status(), JobStatus::kRunning);
}

TEST_F(JobMasterTest, CancelsARunningJobAndKeepsItsCheckpoints) {
  StartRunning();
  executor_.Advance(absl::Seconds(1));
  CompleteCheckpoint(1);
  ASSERT_TRUE(job_->Cancel().ok());
  ASSERT_TRUE(job_->Cancel().ok()) << "twice is fine";
  EXPECT_EQ(job_->status(), JobStatus::kCancelling);
  AnswerCancels(first_.get());
  Report(Task(1, 1), proto::FINISHED);  // Had finished before it heard.
  Report(Task(2, 1), proto::FAILED, "while cancelling");
  EXPECT_EQ(job_->status(), JobStatus::kCanceled);
  EXPECT_THAT(job_->Exceptions(10).entries, IsEmpty());
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/chk-1/_metadata"));
  EXPECT_EQ(num_ends_, 1);
  EXPECT_TRUE(job_->Cancel().ok());
}

TEST_F(JobMasterTest, CancelsAtOnceWhileItWaitsForSlots) {
  StartJob();
  ASSERT_TRUE(job_->Cancel().ok());
  EXPECT_EQ(job_->status(), JobStatus::kCanceled);
  AddTaskManager("tm-1", 2);
  EXPECT_EQ(resources_->Overview().num_free_slots, 2u) << "its request is forgotten";
}

TEST_F(JobMasterTest, CancelsAtOnceWhileItWaitsToRestart) {
  StartRunning();
  Report(Task(1, 0), proto::FAILED, "oops");
  AnswerCancels(first_.get());
  AnswerCancels(second_.get());
  EXPECT_EQ(job_->status(), JobStatus::kRestarting);
  ASSERT_TRUE(job_->Cancel().ok());
  EXPECT_EQ(job_->status(), JobStatus::kCanceled);
  executor_.Advance(absl::Seconds(10));
  EXPECT_EQ(job_->status(), JobStatus::kCanceled);
  EXPECT_THAT(first_->Take(Kind::kDeploy), IsEmpty());
}

TEST_F(JobMasterTest, CancelsWhileAFailureIsBeingCleanedUp) {
  StartRunning();
  Report(Task(1, 0), proto::FAILED, "oops");
  ASSERT_TRUE(job_->Cancel().ok());
  EXPECT_EQ(job_->status(), JobStatus::kCancelling);
  AnswerCancels(first_.get());
  AnswerCancels(second_.get());
  EXPECT_EQ(job_->status(), JobStatus::kCanceled);
}

TEST_F(JobMasterTest, StartsLostTasksAgainBeforeItIsCancelled) {
  StartRunning();
  executor_.Advance(absl::Seconds(1));
  CompleteCheckpoint(1);
  resources_->OnClosed(second_.get());
  AnswerCancels(first_.get());
  ASSERT_TRUE(job_->Cancel().ok());
  ASSERT_TRUE(job_->Cancel().ok()) << "twice is fine";
  executor_.Advance(absl::ZeroDuration());  // There is no backoff.
  EXPECT_EQ(job_->status(), JobStatus::kCreated);
  third_ = AddTaskManager("tm-3", 1);
  NoteDeployment();
  EXPECT_EQ(Task(1, 0).deployment.restored_checkpoint(), 1u);
  Report(Task(1, 0), proto::RUNNING);
  EXPECT_EQ(job_->status(), JobStatus::kRunning) << "not all of them run";
  for (const auto& [vertex, subtask] : {std::pair(1, 1), std::pair(2, 0), std::pair(2, 1)}) {
    Report(Task(static_cast<uint64_t>(vertex), static_cast<uint32_t>(subtask)), proto::RUNNING);
  }
  EXPECT_EQ(job_->status(), JobStatus::kCancelling);
  AnswerCancels(first_.get());
  AnswerCancels(third_.get());
  EXPECT_EQ(job_->status(), JobStatus::kCanceled);
  executor_.Advance(absl::Minutes(1));
  EXPECT_EQ(job_->status(), JobStatus::kCanceled);
  EXPECT_EQ(num_ends_, 1);
}

TEST_F(JobMasterTest, CancelsWithoutItsLostTasksIfNoSlotsCome) {
  StartRunning();
  executor_.Advance(absl::Seconds(1));
  CompleteCheckpoint(1);
  resources_->OnClosed(second_.get());
  AnswerCancels(first_.get());
  ASSERT_TRUE(job_->Cancel().ok());
  executor_.Advance(absl::Seconds(9));
  EXPECT_EQ(job_->status(), JobStatus::kCreated);
  executor_.Advance(absl::Seconds(1));
  EXPECT_EQ(job_->status(), JobStatus::kCanceled);
}

TEST_F(JobMasterTest, CancelsAtOnceWhenNoLostTaskCanHaveCommitted) {
  StartRunning();
  resources_->OnClosed(second_.get());
  AnswerCancels(first_.get());
  ASSERT_TRUE(job_->Cancel().ok());
  EXPECT_EQ(job_->status(), JobStatus::kCanceled) << "no checkpoint has completed";
}

TEST_F(JobMasterTest, RefusesToCancelAnEndedJob) {
  StartRunning();
  ReportAll(proto::FINISHED);
  EXPECT_EQ(job_->Cancel().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(JobMasterTest, RoutesEventsBetweenCoordinatorAndTasksByNewestAttempt) {
  StartRunning();
  proto::TaskManagerMessage to_coordinator;
  proto::OperatorEvent* event = to_coordinator.mutable_event_to_coordinator();
  event->set_job_id(IdToBytes(JobId(3, 4)));
  event->set_operator_id(IdToBytes(TestOperator(1)));
  event->set_subtask(1);
  event->set_payload("more splits please");
  event->set_sender_attempt(Task(1, 1).deployment.attempt());
  EXPECT_TRUE(job_->HandleMessage(to_coordinator));
  const auto at_coordinator = coordinator_on_->Take(Kind::kEventToCoordinator);
  ASSERT_THAT(at_coordinator, SizeIs(1));
  EXPECT_EQ(at_coordinator[0].event_to_coordinator().payload(), "more splits please");

  proto::TaskManagerMessage to_task;
  event = to_task.mutable_event_to_task();
  event->set_job_id(IdToBytes(JobId(3, 4)));
  event->set_operator_id(IdToBytes(TestOperator(1)));
  event->set_subtask(1);
  event->set_payload("split 7");
  event->set_sender_attempt(coordinators_[0].attempt());
  EXPECT_TRUE(job_->HandleMessage(to_task));
  const auto at_task = Task(1, 1).on->Take(Kind::kEventToTask);
  ASSERT_THAT(at_task, SizeIs(1));
  EXPECT_EQ(at_task[0].event_to_task().payload(), "split 7");

  event->set_sender_attempt(IdToBytes(ExecutionAttemptId(8, 8)));
  EXPECT_TRUE(job_->HandleMessage(to_task));
  EXPECT_THAT(Task(1, 1).on->Take(Kind::kEventToTask), IsEmpty()) << "from an older attempt";
  EXPECT_EQ(job_->num_stale_messages(), 1u);
}

TEST_F(JobMasterTest, SendsHeldCoordinatorEventsBehindTheTrigger) {
  StartRunning();
  executor_.Advance(absl::Seconds(1));
  first_->received.clear();
  second_->received.clear();
  AckCoordinator(1, "splits");
  proto::TaskManagerMessage to_task;
  proto::OperatorEvent* const event = to_task.mutable_event_to_task();
  event->set_job_id(IdToBytes(JobId(3, 4)));
  event->set_operator_id(IdToBytes(TestOperator(1)));
  event->set_subtask(1);
  event->set_sender_attempt(coordinators_[0].attempt());
  job_->HandleMessage(to_task);
  std::vector<Kind::KindCase> kinds;
  for (const Kind& message : Task(1, 1).on->received) kinds.push_back(message.kind_case());
  EXPECT_THAT(kinds, ElementsAre(Kind::kTrigger, Kind::kEventToTask));
}

TEST_F(JobMasterTest, RestartsWhenACoordinatorFails) {
  StartRunning();
  proto::TaskManagerMessage message;
  message.mutable_coordinator_failed()->set_attempt(coordinators_[0].attempt());
  message.mutable_coordinator_failed()->set_error("topic is gone");
  message.mutable_coordinator_failed()->set_error_code(
      static_cast<int>(absl::StatusCode::kNotFound));
  EXPECT_TRUE(job_->HandleMessage(message));
  EXPECT_EQ(job_->status(), JobStatus::kRestarting);
  EXPECT_THAT(job_->Exceptions(1).entries[0].stacktrace, HasSubstr("topic is gone"));
}

TEST_F(JobMasterTest, GoesOneCheckpointBackWhenStateFilesAreDamaged) {
  settings_.Set(kCheckpointingNumRetained, 2);
  settings_.Set(kFixedDelayAttempts, 100);
  StartRunning();
  for (uint64_t checkpoint = 1; checkpoint <= 2; ++checkpoint) {
    executor_.Advance(absl::Seconds(1));
    CompleteCheckpoint(checkpoint, StrCat("splits@", checkpoint));
  }
  const auto fail = [this](const std::string& error, absl::StatusCode code) {
    Report(Task(2, 0), proto::FAILED, error, code);
    AnswerCancels(first_.get());
    AnswerCancels(second_.get());
    executor_.Advance(absl::Seconds(1));
    NoteDeployment();
  };
  fail("oops", absl::StatusCode::kInternal);
  EXPECT_EQ(Task(2, 0).deployment.restored_checkpoint(), 2u);
  Report(Task(2, 0), proto::INITIALIZING);
  fail("state file damaged", absl::StatusCode::kDataLoss);
  EXPECT_EQ(Task(2, 0).deployment.restored_checkpoint(), 1u);
  EXPECT_THAT(job_->Exceptions(1).entries[0].stacktrace,
              HasSubstr("checkpoint 2 cannot be restored, the one before it is used: state file "
                        "damaged"));
  Report(Task(2, 0), proto::INITIALIZING);
  fail("state file damaged", absl::StatusCode::kDataLoss);
  EXPECT_EQ(job_->status(), JobStatus::kFailed) << "there is nothing older";
}

TEST_F(JobMasterTest, SaysThatAnUnreadableCheckpointWasPassedOver) {
  settings_.Set(kCheckpointingNumRetained, 2);
  StartRunning();
  for (uint64_t checkpoint = 1; checkpoint <= 2; ++checkpoint) {
    executor_.Advance(absl::Seconds(1));
    CompleteCheckpoint(checkpoint, StrCat("splits@", checkpoint));
  }
  std::ofstream(folder_ + "/chk-2/_metadata", std::ios::app) << "more";
  Report(Task(2, 0), proto::FAILED, "oops", absl::StatusCode::kInternal);
  AnswerCancels(first_.get());
  AnswerCancels(second_.get());
  executor_.Advance(absl::Seconds(1));
  NoteDeployment();
  EXPECT_EQ(Task(2, 0).deployment.restored_checkpoint(), 1u);
  const auto exceptions = job_->Exceptions(1);
  ASSERT_THAT(exceptions.entries[0].concurrent, SizeIs(1));
  EXPECT_THAT(exceptions.entries[0].concurrent[0].stacktrace,
              AllOf(HasSubstr("checkpoint 2 cannot be read, the one before it is used"),
                    HasSubstr("chk-2/_metadata")));
}

TEST_F(JobMasterTest, DoesNotTryAgainWhatARestoreRefuses) {
  settings_.Set(kFixedDelayAttempts, 100);
  StartRunning();
  executor_.Advance(absl::Seconds(1));
  CompleteCheckpoint(1, "splits@1");
  Report(Task(2, 0), proto::FAILED, "oops", absl::StatusCode::kInternal);
  AnswerCancels(first_.get());
  AnswerCancels(second_.get());
  executor_.Advance(absl::Seconds(1));
  NoteDeployment();
  Report(Task(2, 0), proto::INITIALIZING);
  Report(Task(2, 0), proto::FAILED, "cannot restore a state",
         absl::StatusCode::kFailedPrecondition);
  AnswerCancels(first_.get());
  AnswerCancels(second_.get());
  executor_.Advance(absl::Seconds(1));
  EXPECT_EQ(job_->status(), JobStatus::kFailed);
  EXPECT_THAT(job_->Exceptions(1).entries[0].stacktrace, HasSubstr("cannot restore a state"));
}

TEST_F(JobMasterTest, StartsFromACheckpointOfTheUsersAndCountsOnFromIt) {
  StartRunning();
  executor_.Advance(absl::Seconds(1));
  CompleteCheckpoint(1, "from the first job");
  ASSERT_TRUE(job_->Cancel().ok());
  AnswerCancels(first_.get());
  AnswerCancels(second_.get());
  ASSERT_EQ(job_->status(), JobStatus::kCanceled);

  description_.id = JobId(3, 5);
  description_.checkpoint_dir = folder_ + "-second";
  description_.savepoint_path = folder_ + "/chk-1";
  StartJob();
  NoteDeployment();
  ASSERT_THAT(tasks_, SizeIs(4));
  EXPECT_EQ(Task(1, 0).deployment.restored_checkpoint(), 1u);
  EXPECT_EQ(coordinators_[0].state(), "from the first job");
  ReportAll(proto::RUNNING);
  executor_.Advance(absl::Seconds(1));
  const auto triggers = coordinator_on_->Take(Kind::kTriggerCoordinator);
  ASSERT_FALSE(triggers.empty());
  EXPECT_EQ(triggers.back().trigger_coordinator().checkpoint_id(), 2u);
  ReportAll(proto::FINISHED);
  EXPECT_EQ(job_->status(), JobStatus::kFinished);
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/chk-1/_metadata")) << "the user's stays";
}

TEST_F(JobMasterTest, RefusesACheckpointWhoseOperatorsTheJobDoesNotHave) {
  StartRunning();
  executor_.Advance(absl::Seconds(1));
  CompleteCheckpoint(1);
  ASSERT_TRUE(job_->Cancel().ok());
  AnswerCancels(first_.get());
  AnswerCancels(second_.get());
  JobGraph other = SourceAndSink(2, 2);
  other.vertices[0].operators[0].id = TestOperator(77);
  other.edges[0].source_operator = TestOperator(77);
  description_.graph = std::make_shared<const JobGraph>(other);
  description_.savepoint_path = folder_ + "/chk-1";
  StartJob();
  EXPECT_EQ(job_->status(), JobStatus::kFailed);
  EXPECT_THAT(job_->Result().failure->stacktrace, HasSubstr("uid=gen"));
  description_.allow_non_restored_state = true;
  StartJob();
  EXPECT_EQ(job_->status(), JobStatus::kRunning);
}

TEST_F(JobMasterTest, FailsClearlyWhenThereIsNoSuchCheckpoint) {
  first_ = AddTaskManager("tm-1", 2);
  description_.savepoint_path = folder_ + "/chk-9";
  StartJob();
  EXPECT_EQ(job_->status(), JobStatus::kFailed);
  EXPECT_THAT(job_->Result().failure->stacktrace,
              HasSubstr("there is no checkpoint and no savepoint at"));
  EXPECT_THAT(first_->Take(Kind::kDeploy), IsEmpty());
}

TEST_F(JobMasterTest, ShowsWhatHeartbeatsSay) {
  StartRunning();
  proto::TaskMetrics metrics;
  metrics.set_attempt(Task(2, 0).deployment.attempt());
  metrics.set_records_in(100);
  metrics.set_bytes_in(2000);
  metrics.set_busy_ms(250);
  metrics.set_idle_ms(750);
  metrics.set_watermark_ms(12345);
  proto::SplitWatermark* const split = metrics.add_split_watermarks();
  split->set_split("topic-3");
  split->set_watermark_ms(12345);
  split->set_since_ms(777);
  job_->UpdateTask(Task(2, 0).on, metrics);
  metrics.set_records_in(200);
  metrics.set_busy_ms(1250);
  job_->UpdateTask(Task(2, 0).on, metrics);
  metrics.set_records_in(300);
  job_->UpdateTask(nullptr, metrics);  // Not of where the task runs.
  const SubtaskDetails subtask = job_->Details().vertices[1].subtasks[0];
  EXPECT_EQ(subtask.metrics.read_records, 200);
  EXPECT_EQ(subtask.metrics.read_bytes, 2000);
  EXPECT_DOUBLE_EQ(subtask.ratios.busy, 1.0);
  EXPECT_EQ(subtask.current_input_watermark_ms, 12345);
  ASSERT_THAT(subtask.splits, SizeIs(1));
  EXPECT_EQ(subtask.splits[0].id, "topic-3");
  EXPECT_EQ(subtask.splits[0].watermark_ms, 12345);
  EXPECT_EQ(subtask.splits[0].since, absl::FromUnixMillis(777));
  EXPECT_EQ(subtask.endpoint, "host:7000");
}

TEST_F(JobMasterTest, ShowsPlanStatesAndTimestamps) {
  StartRunning();
  const JobDetails details = job_->Details();
  EXPECT_EQ(details.name, "test job");
  ASSERT_THAT(details.plan.nodes, SizeIs(2));
  EXPECT_EQ(details.plan.nodes[1].description, "count\nsink");
  ASSERT_THAT(details.plan.nodes[1].inputs, SizeIs(1));
  EXPECT_EQ(details.plan.nodes[1].inputs[0].ship_strategy, "HASH");
  EXPECT_NE(details.timestamps[JobStatus::kRunning], absl::InfinitePast());
  EXPECT_EQ(job_->Overview().task_counts[ExecutionState::kRunning], 4u);
  EXPECT_THAT(details.execution_config.restart_strategy, HasSubstr("fixed delay"));
}

// A job whose savepoints go beside its folder.
class JobMasterSavepointTest : public JobMasterTest {
 protected:
  void Trigger(AfterSavepoint then) {
    result_ = absl::UnknownError("not called");
    job_->TriggerSavepoint({.target_directory = folder_ + "-savepoints", .then = then},
                           [this](auto result) { result_ = result; });
    executor_.RunUntilIdle();
  }
  void AnswerAllCancels() {
    AnswerCancels(first_.get());
    AnswerCancels(second_.get());
  }
  // Starts another job from the snapshot at `path`, and lets it run.
  void StartFrom(const std::string& path, ClaimMode mode) {
    description_.id = JobId(3, 5);
    description_.checkpoint_dir = folder_ + "-second";
    description_.savepoint_path = path;
    description_.claim_mode = mode;
    StartJob();
    NoteDeployment();
    ReportAll(proto::RUNNING);
  }

  absl::StatusOr<std::string> result_;
};

TEST_F(JobMasterSavepointTest, StopsTheJobAndAnswersWhenItHasFinished) {
  StartRunning();
  Trigger(AfterSavepoint::kStop);
  AckCoordinator(1, "splits");
  executor_.RunUntilIdle();
  const auto triggers = first_->Take(Kind::kTrigger);
  ASSERT_THAT(triggers, SizeIs(1));
  EXPECT_EQ(triggers[0].trigger().barrier_kind(), static_cast<uint32_t>(BarrierKind::kSuspend));
  for (const auto& [key, task] : tasks_) AckTask(task, 1);
  executor_.RunUntilIdle();
  EXPECT_THAT(first_->Take(Kind::kComplete), SizeIs(1));
  EXPECT_EQ(result_.status().code(), absl::StatusCode::kUnknown) << "tasks commit yet";
  ReportAll(proto::FINISHED);
  EXPECT_EQ(job_->status(), JobStatus::kFinished);
  ASSERT_TRUE(result_.ok()) << result_.status();
  EXPECT_FALSE(std::filesystem::exists(folder_)) << "checkpoints of a finished job";
  EXPECT_TRUE(std::filesystem::exists(*result_ + "/_metadata"));

  StartFrom(*result_, ClaimMode::kNoClaim);
  EXPECT_EQ(Task(1, 0).deployment.restored_checkpoint(), 1u);
  EXPECT_EQ(coordinators_[0].state(), "splits");
  const CheckpointStatistics statistics = job_->Checkpoints();
  EXPECT_EQ(statistics.latest_restored->external_path, *result_);
  EXPECT_TRUE(statistics.latest_restored->is_savepoint);
}

TEST_F(JobMasterSavepointTest, GoesOnFromTheSavepointIfATaskFailsBeforeTheJobHasStopped) {
  StartRunning();
  Trigger(AfterSavepoint::kStop);
  CompleteCheckpoint(1);
  Report(Task(2, 1), proto::FAILED, "commit failed");
  EXPECT_THAT(result_.status().ToString(), HasSubstr("the job did not stop"));
  EXPECT_THAT(result_.status().ToString(), HasSubstr("-savepoints/savepoint-"));
  AnswerAllCancels();
  executor_.Advance(absl::Seconds(1));
  NoteDeployment();
  EXPECT_EQ(Task(1, 0).deployment.restored_checkpoint(), 1u);
  EXPECT_TRUE(job_->Checkpoints().latest_restored->is_savepoint);
}

TEST_F(JobMasterSavepointTest, CancelsTheJobOnceTheSavepointIsComplete) {
  StartRunning();
  Trigger(AfterSavepoint::kCancel);
  EXPECT_EQ(job_->status(), JobStatus::kRunning);
  CompleteCheckpoint(1);
  EXPECT_EQ(job_->status(), JobStatus::kCancelling);
  EXPECT_TRUE(result_.ok()) << result_.status();
}

TEST_F(JobMasterSavepointTest, RestartsAJobWhoseDrainFailed) {
  settings_.Set(kCheckpointingTimeout, absl::Seconds(2));
  StartRunning();
  Trigger(AfterSavepoint::kDrain);
  AckCoordinator(1, "splits");
  executor_.Advance(absl::Seconds(2));
  EXPECT_THAT(result_.status().ToString(), HasSubstr("expired"));
  EXPECT_EQ(job_->status(), JobStatus::kRestarting);
}

TEST_F(JobMasterSavepointTest, TakesAllRegionsDownIfOneFailsWhileTheJobStops) {
  StartTwoPipelines();
  Trigger(AfterSavepoint::kStop);
  Report(Task(2, 0), proto::FAILED, "oops");
  EXPECT_THAT(result_.status().ToString(), HasSubstr("oops"));
  EXPECT_THAT(StatesOf(3), ElementsAre("CANCELING"));
  EXPECT_THAT(StatesOf(4), ElementsAre("CANCELING"));
}

TEST_F(JobMasterSavepointTest, RefusesATargetThatGoesWithTheJob) {
  StartRunning();
  job_->TriggerSavepoint({.target_directory = folder_ + "/mine"},
                         [this](auto result) { result_ = result; });
  EXPECT_EQ(result_.status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(JobMasterSavepointTest, ANotClaimedSnapshotStaysAndAClaimedOneGoes) {
  for (const ClaimMode mode : {ClaimMode::kNoClaim, ClaimMode::kClaim}) {
    SCOPED_TRACE(ClaimModeName(mode));
    description_.id = JobId(3, 4);
    description_.checkpoint_dir = folder_;
    description_.savepoint_path.clear();
    if (first_ == nullptr) {
      StartDeployed();
    } else {
      StartJob();
      NoteDeployment();
    }
    ReportAll(proto::RUNNING);
    Trigger(AfterSavepoint::kStop);
    CompleteCheckpoint(1);
    ReportAll(proto::FINISHED);
    ASSERT_TRUE(result_.ok()) << result_.status();

    StartFrom(*result_, mode);
    EXPECT_TRUE(job_->NeedsSnapshot(folder_ + "-second/chk-1"));
    EXPECT_EQ(job_->NeedsSnapshot(*result_), mode == ClaimMode::kClaim);
    executor_.Advance(absl::Seconds(1));
    EXPECT_TRUE(std::filesystem::exists(*result_)) << "nothing has replaced it yet";
    CompleteCheckpoint(2, "moved on");
    EXPECT_EQ(std::filesystem::exists(*result_), mode == ClaimMode::kNoClaim);
    EXPECT_FALSE(std::filesystem::exists(folder_ + "-second/chk-1")) << "its own copy";
    ASSERT_TRUE(job_->Cancel().ok());
    AnswerAllCancels();
    std::filesystem::remove_all(folder_ + "-second");
  }
}

TEST_F(JobMasterSavepointTest, KeepsTheCheckpointsOfACancelledOrFailedJobAsItsRetentionSays) {
  struct Case {
    const char* retention;
    bool after_cancel;
    bool after_failure;
  };
  settings_.Set(kRestartStrategyType, "none");
  first_ = AddTaskManager("tm-1", 1);
  second_ = AddTaskManager("tm-2", 1);
  for (const Case& expected :
       {Case{"RETAIN_ON_CANCELLATION", true, true}, Case{"DELETE_ON_CANCELLATION", false, true},
        Case{"NO_EXTERNALIZED_CHECKPOINTS", false, false}}) {
    for (const bool fails : {false, true}) {
      SCOPED_TRACE(StrCat(expected.retention, " fails=", fails));
      settings_.Set(kCheckpointingRetention, expected.retention);
      StartJob();
      NoteDeployment();
      ReportAll(proto::RUNNING);
      executor_.Advance(absl::Seconds(1));
      CompleteCheckpoint(1);
      const CheckpointConfig config = job_->CheckpointConfiguration();
      EXPECT_EQ(config.externalized, expected.after_failure);
      EXPECT_EQ(config.delete_on_cancellation, !expected.after_cancel);
      if (fails) {
        Report(Task(1, 0), proto::FAILED, "oops");
      } else {
        ASSERT_TRUE(job_->Cancel().ok());
      }
      AnswerAllCancels();
      EXPECT_EQ(job_->status(), fails ? JobStatus::kFailed : JobStatus::kCanceled);
      EXPECT_EQ(std::filesystem::exists(folder_ + "/chk-1/_metadata"),
                fails ? expected.after_failure : expected.after_cancel);
      std::filesystem::remove_all(folder_);
    }
  }
}

TEST_F(JobMasterTest, CountsOnFromTheCheckpointsThatAreInItsFolder) {
  StartRunning();
  executor_.Advance(absl::Seconds(1));
  CompleteCheckpoint(1);
  ASSERT_TRUE(job_->Cancel().ok());
  AnswerCancels(first_.get());
  AnswerCancels(second_.get());
  StartJob();  // The same id, with nothing to restore.
  NoteDeployment();
  ReportAll(proto::RUNNING);
  coordinator_on_->Take(Kind::kTriggerCoordinator);
  executor_.Advance(absl::Seconds(1));
  const auto triggers = coordinator_on_->Take(Kind::kTriggerCoordinator);
  ASSERT_FALSE(triggers.empty());
  EXPECT_EQ(triggers.back().trigger_coordinator().checkpoint_id(), 2u);
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/chk-1/_metadata"));
}

}  // namespace
}  // namespace weir
