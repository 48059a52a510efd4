// A JobMaster that takes a job over from the JobMaster of an earlier leader, whose tasks run on.

#include "jobmanager/reconciliation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "jobmanager/checkpoint/checkpoint_storage.h"
#include "jobmanager/job_master.h"
#include "jobmanager/proto_ids.h"
#include "proto/control_plane.pb.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"
#include "tests/jobmanager/fake_task_manager.h"
#include "tests/jobmanager/manual_executor.h"
#include "tests/jobmanager/test_graphs.h"
#include "tests/support/temporary_folder.h"

namespace weir {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;
using Kind = proto::JobManagerMessage;

constexpr absl::Duration kTimeout = absl::Seconds(5);

// One leader with a JobMaster of the job; TaskManagers only write down what they hear.
class Leader final : public TaskManagerListener {
 public:
  Leader(uint64_t epoch, const JobDescription& description, ManualExecutor* executor)
      : resources({.leader_epoch = LeaderEpoch(epoch), .abi_stamp = ""}, executor, this),
        job(std::make_shared<JobMaster>(
            description,
            JobMasterServices{.executor = executor,
                              .resource_manager = &resources,
                              .leader_epoch = LeaderEpoch(epoch),
                              .on_ended = [](JobId) {},
                              .reconciliation_timeout = kTimeout},
            std::make_unique<FolderCheckpointStorage>(description.checkpoint_dir, executor))) {}

  void OnTaskManagerLost(TaskManagerGateway* task_manager, const absl::Status& reason) override {
    job->OnTaskManagerLost(task_manager, reason);
  }

  ResourceManager resources;
  std::shared_ptr<JobMaster> job;
};

class ReconciliationTest : public testing::Test {
 protected:
  ReconciliationTest() {
    description_.id = JobId(3, 4);
    description_.graph = std::make_shared<const JobGraph>(SourceAndSink(2, 2));
    description_.settings = Configuration(WeirOptions());
    description_.settings.Set(kRestartStrategyType, "fixed-delay");
    description_.settings.Set(kFixedDelayDelay, absl::Seconds(1));
    description_.checkpoint_dir = folder_.PathOf("job");
  }

  // The first leader deploys the job on two TaskManagers with a slot each, all tasks run.
  void RunUnderFirstLeader() {
    first_ = std::make_unique<Leader>(5, description_, &executor_);
    for (const std::string id : {"tm-1", "tm-2"}) Register(first_.get(), id, {});
    first_->job->Start();
    executor_.RunUntilIdle();
    NoteDeployments();
    for (auto& [id, report] : reports_) {
      for (proto::RunningTask& task : *report.mutable_tasks()) {
        task.set_state(proto::RUNNING);
        Report(first_.get(), task.attempt(), proto::RUNNING);
      }
    }
  }
  // All that the TaskManagers have been told to run since, and nothing else.
  void NoteDeployments() {
    reports_.clear();
    for (const auto& [id, task_manager] : task_managers_) {
      for (const Kind& message : task_manager->Take(Kind::kDeploy)) {
        NoteDeployment(message.deploy(), &reports_[id]);
      }
    }
  }
  static void NoteDeployment(const proto::DeployTasks& deploy, proto::RunningJob* report) {
    report->set_job_id(deploy.job().job_id());
    proto::DeploymentId deployment;
    deployment.set_leader_epoch(deploy.leader_epoch());
    deployment.set_number(deploy.deployment_number());
    for (const proto::TaskDeployment& task : deploy.tasks()) {
      proto::RunningTask* const running = report->add_tasks();
      running->set_attempt(task.attempt());
      running->set_vertex(task.vertex());
      running->set_subtask(task.subtask());
      running->set_attempt_number(task.attempt_number());
      *running->mutable_deployment() = deployment;
      running->set_state(proto::DEPLOYING);
    }
    for (const proto::CoordinatorDeployment& coordinator : deploy.coordinators()) {
      proto::RunningCoordinator* const running = report->add_coordinators();
      running->set_attempt(coordinator.attempt());
      running->set_operator_id(coordinator.operator_id());
      *running->mutable_deployment() = deployment;
    }
    const absl::StatusOr<JobGraph> graph = ParseJobGraph(deploy.job().job_graph());
    report->clear_vertices();
    for (const JobGraph::Vertex& vertex : graph->vertices) {
      proto::VertexParallelism* const added = report->add_vertices();
      added->set_vertex(IdToBytes(vertex.id));
      added->set_parallelism(vertex.parallelism);
    }
  }

  void StartSecondLeader(JobRecovery recovery = {}) {
    first_.reset();
    second_ = std::make_unique<Leader>(6, description_, &executor_);
    second_->job->Recover(std::move(recovery));
    executor_.RunUntilIdle();
  }
  // A TaskManager that comes to a leader with what it runs; as the Dispatcher does it.
  void Register(Leader* leader, const std::string& id, const proto::RunningJob& report) {
    task_managers_[id] = std::make_shared<FakeTaskManager>(id, 1);
    proto::Register registration = task_managers_[id]->Registration();
    std::map<JobId, uint32_t> held;
    if (report.tasks_size() > 0) {
      registration.set_leader_epoch(5);
      *registration.add_jobs() = report;
      held[description_.id] = leader->job->NumSlotsOf(report);
    }
    ASSERT_TRUE(leader->resources.Register(task_managers_[id], registration, held));
    if (report.tasks_size() > 0) leader->job->OnReport(task_managers_[id], report);
    executor_.RunUntilIdle();
  }
  void RegisterAll() {
    for (const std::string id : {"tm-1", "tm-2"}) Register(second_.get(), id, reports_.at(id));
  }
  void Report(Leader* leader, const std::string& attempt, proto::TaskState state) {
    proto::TaskManagerMessage message;
    message.mutable_task_state()->set_attempt(attempt);
    message.mutable_task_state()->set_state(state);
    leader->job->HandleMessage(message);
    executor_.RunUntilIdle();
  }
  // Every task that was asked to cancel says that it has.
  void AnswerCancels() {
    for (const auto& [id, task_manager] : task_managers_) {
      for (const Kind& message : task_manager->Take(Kind::kCancel)) {
        for (const std::string& attempt : message.cancel().attempts()) {
          Report(second_.get(), attempt, proto::CANCELED);
        }
      }
    }
  }
  std::vector<Kind> TakeFromAll(Kind::KindCase kind) {
    std::vector<Kind> taken;
    for (const auto& [id, task_manager] : task_managers_) {
      for (Kind& message : task_manager->Take(kind)) taken.push_back(std::move(message));
    }
    return taken;
  }
  std::set<std::string> ReportedAttempts() const {
    std::set<std::string> attempts;
    for (const auto& [id, report] : reports_) {
      for (const proto::RunningTask& task : report.tasks()) attempts.insert(task.attempt());
    }
    return attempts;
  }
  proto::RunningTask& Task(const std::string& task_manager, uint64_t vertex) {
    for (proto::RunningTask& task : *reports_.at(task_manager).mutable_tasks()) {
      if (task.vertex() == IdToBytes(TestVertex(vertex))) return task;
    }
    std::abort();
  }
  // Says that the task on tm-1 has sent so many events to its coordinator, and so many came.
  void CountEvents(uint64_t sent, uint64_t forgotten, uint64_t received) {
    proto::RunningTask& source = Task("tm-1", 1);
    proto::EventPosition position;
    position.mutable_channel()->set_kind(proto::EventChannel::TO_COORDINATOR);
    position.mutable_channel()->set_sender_attempt(source.attempt());
    position.mutable_channel()->set_operator_id(IdToBytes(TestOperator(1)));
    position.set_count(sent);
    position.set_num_forgotten(forgotten);
    *source.add_sent() = position;
    position.set_count(received);
    position.set_num_forgotten(0);
    for (auto& [id, report] : reports_) {
      for (proto::RunningCoordinator& coordinator : *report.mutable_coordinators()) {
        *coordinator.add_received() = position;
      }
    }
  }

  TemporaryFolder folder_;
  ManualExecutor executor_;
  JobDescription description_;
  std::unique_ptr<Leader> first_;
  std::unique_ptr<Leader> second_;
  std::map<std::string, std::shared_ptr<FakeTaskManager>> task_managers_;
  std::map<std::string, proto::RunningJob> reports_;
};

TEST_F(ReconciliationTest, GoesOnWithTheTasksOfAJobOnceAllAreReported) {
  RunUnderFirstLeader();
  StartSecondLeader();
  EXPECT_EQ(second_->job->status(), JobStatus::kReconciling);
  Register(second_.get(), "tm-1", reports_.at("tm-1"));
  EXPECT_EQ(second_->job->status(), JobStatus::kReconciling) << "half of it";
  Register(second_.get(), "tm-2", reports_.at("tm-2"));
  EXPECT_EQ(second_->job->status(), JobStatus::kRunning);
  std::set<std::string> adopted;
  size_t num_coordinators = 0;
  for (const Kind& message : TakeFromAll(Kind::kAdopt)) {
    EXPECT_EQ(message.adopt().leader_epoch(), 6u);
    adopted.insert(message.adopt().attempts().begin(), message.adopt().attempts().end());
    num_coordinators += static_cast<size_t>(message.adopt().coordinators_size());
  }
  EXPECT_EQ(adopted, ReportedAttempts());
  EXPECT_EQ(num_coordinators, 1u);
  EXPECT_THAT(TakeFromAll(Kind::kDeploy), IsEmpty());
  EXPECT_EQ(second_->resources.Overview().num_free_slots, 0u);
  for (const VertexDetails& vertex : second_->job->Details().vertices) {
    for (const SubtaskDetails& subtask : vertex.subtasks) {
      EXPECT_EQ(subtask.state, ExecutionState::kRunning);
      EXPECT_EQ(subtask.attempt_number, 0u);
    }
  }
  executor_.Advance(absl::Seconds(1));
  EXPECT_THAT(TakeFromAll(Kind::kTriggerCoordinator), SizeIs(1)) << "checkpoints go on";
}

TEST_F(ReconciliationTest, CountsCheckpointsOnFromAllThatTasksHaveHeardOf) {
  RunUnderFirstLeader();
  reports_.at("tm-2").set_last_checkpoint_id(41);
  StartSecondLeader();
  RegisterAll();
  std::vector<Kind> aborted = TakeFromAll(Kind::kAborted);
  ASSERT_THAT(aborted, SizeIs(2));
  EXPECT_EQ(aborted[0].aborted().checkpoint_id(), 41u) << "nobody waits for its barriers";
  executor_.Advance(absl::Seconds(1));
  EXPECT_EQ(TakeFromAll(Kind::kTriggerCoordinator).at(0).trigger_coordinator().checkpoint_id(),
            42u);
}

TEST_F(ReconciliationTest, TellsOfTheCheckpointThatTheFormerLeaderHadCompleted) {
  RunUnderFirstLeader();
  auto metadata = std::make_shared<CheckpointMetadata>();
  metadata->id = CheckpointId(7);
  metadata->job_id = description_.id;
  FolderCheckpointStorage storage(description_.checkpoint_dir, &executor_);
  std::string path;
  storage.Write(metadata, [&](absl::StatusOr<std::string> written) { path = *written; });
  executor_.RunUntilIdle();
  reports_.at("tm-1").set_last_checkpoint_id(8);
  StartSecondLeader(
      {.checkpoints = {{.id = CheckpointId(7), .path = path, .files = {}, .owned = true}},
       .last_checkpoint_id = CheckpointId(20)});
  RegisterAll();
  const std::vector<Kind> complete = TakeFromAll(Kind::kComplete);
  ASSERT_THAT(complete, SizeIs(2));
  EXPECT_EQ(complete[0].complete().checkpoint_id(), 7u);
  EXPECT_EQ(TakeFromAll(Kind::kAborted).at(0).aborted().checkpoint_id(), 20u);
  EXPECT_EQ(second_->job->Checkpoints().counts.restored, 0u);
}

TEST_F(ReconciliationTest, BeginsAnewWhatIsNotReportedInTime) {
  RunUnderFirstLeader();
  StartSecondLeader();
  Register(second_.get(), "tm-1", reports_.at("tm-1"));
  Register(second_.get(), "tm-3", {});
  executor_.Advance(kTimeout - absl::Milliseconds(1));
  EXPECT_EQ(second_->job->status(), JobStatus::kReconciling);
  EXPECT_THAT(TakeFromAll(Kind::kDeploy), IsEmpty()) << "the others may run yet";
  executor_.Advance(absl::Milliseconds(1));
  EXPECT_EQ(second_->job->status(), JobStatus::kRestarting);
  AnswerCancels();
  executor_.RunUntilIdle();
  EXPECT_EQ(second_->job->status(), JobStatus::kRunning);
  EXPECT_THAT(TakeFromAll(Kind::kDeploy), SizeIs(2));
  EXPECT_THAT(second_->job->Exceptions(10).entries, IsEmpty()) << "nothing has failed";
}

TEST_F(ReconciliationTest, BeginsAnewAtOnceIfNobodyElseIsToReport) {
  RunUnderFirstLeader();
  StartSecondLeader();
  Register(second_.get(), "tm-1", {});
  Register(second_.get(), "tm-2", {});
  EXPECT_EQ(second_->job->status(), JobStatus::kReconciling);
  second_->job->OnAllReported();
  executor_.RunUntilIdle();
  EXPECT_EQ(second_->job->status(), JobStatus::kRunning);
  EXPECT_THAT(TakeFromAll(Kind::kDeploy), SizeIs(2));
}

TEST_F(ReconciliationTest, RestartsTheRegionOfATaskThatFailedMeanwhileAndGoesOnWithTheOther) {
  description_.graph = std::make_shared<const JobGraph>(TwoPipelines(1));
  first_ = std::make_unique<Leader>(5, description_, &executor_);
  Register(first_.get(), "tm-1", {});
  first_->job->Start();
  executor_.RunUntilIdle();
  NoteDeployments();
  for (proto::RunningTask& task : *reports_.at("tm-1").mutable_tasks()) {
    task.set_state(proto::RUNNING);
  }
  Task("tm-1", 2).set_state(proto::FAILED);
  StartSecondLeader();
  Register(second_.get(), "tm-1", reports_.at("tm-1"));
  EXPECT_EQ(second_->job->status(), JobStatus::kRestarting);
  AnswerCancels();
  executor_.RunUntilIdle();
  EXPECT_EQ(second_->job->status(), JobStatus::kRunning);
  const std::vector<Kind> deployed = TakeFromAll(Kind::kDeploy);
  ASSERT_THAT(deployed, SizeIs(1));
  EXPECT_EQ(deployed[0].deploy().tasks_size(), 2) << "of the pipeline that failed";
  EXPECT_EQ(deployed[0].deploy().tasks(0).attempt_number(), 1u);
  const std::vector<VertexDetails> vertices = second_->job->Details().vertices;
  EXPECT_EQ(vertices[2].subtasks[0].state, ExecutionState::kRunning);
  EXPECT_EQ(vertices[2].subtasks[0].attempt_number, 0u);
}

TEST_F(ReconciliationTest, TellsOfACrashThatHappenedWhileNobodyLed) {
  RunUnderFirstLeader();
  StartSecondLeader();
  proto::CrashReport report;
  report.set_task_manager_id("tm-1");
  report.set_signal("SIGSEGV");
  report.set_attempt(reports_.at("tm-1").tasks(0).attempt());
  report.set_operator_name("count");
  report.set_text("#0 here");
  second_->job->OnCrash(report);
  second_->job->OnCrash(report);  // Who told of it did not get the answer.
  const ExceptionHistory history = second_->job->Exceptions(10);
  ASSERT_THAT(history.entries, SizeIs(1));
  EXPECT_EQ(history.entries[0].exception_name, "SIGSEGV");
  EXPECT_THAT(history.entries[0].stacktrace, testing::HasSubstr("#0 here"));
  EXPECT_TRUE(second_->job->is_reconciling()) << "what is left is for the others to report";
}

TEST_F(ReconciliationTest, PrefersTheNewestDeploymentOfARegion) {
  RunUnderFirstLeader();
  std::map<std::string, proto::RunningJob> old_reports = reports_;
  // tm-2 was cut off: its tasks began anew on tm-3, with those of tm-1.
  const std::shared_ptr<FakeTaskManager> cut_off = task_managers_.at("tm-2");
  first_->resources.OnClosed(cut_off.get());
  executor_.RunUntilIdle();
  for (const Kind& message : task_managers_.at("tm-1")->Take(Kind::kCancel)) {
    for (const std::string& attempt : message.cancel().attempts()) {
      Report(first_.get(), attempt, proto::CANCELED);
    }
  }
  Register(first_.get(), "tm-3", {});
  executor_.Advance(absl::Seconds(2));
  NoteDeployments();
  ASSERT_TRUE(reports_.contains("tm-3"));
  for (auto& [id, report] : reports_) {
    for (proto::RunningTask& task : *report.mutable_tasks()) task.set_state(proto::RUNNING);
  }
  StartSecondLeader();
  Register(second_.get(), "tm-2", old_reports.at("tm-2"));
  Register(second_.get(), "tm-1", reports_.at("tm-1"));
  EXPECT_EQ(second_->job->status(), JobStatus::kReconciling);
  Register(second_.get(), "tm-3", reports_.at("tm-3"));
  EXPECT_EQ(second_->job->status(), JobStatus::kRunning);
  const std::vector<Kind> of_old = task_managers_.at("tm-2")->Take(Kind::kAdopt);
  ASSERT_THAT(of_old, SizeIs(1));
  EXPECT_EQ(of_old[0].adopt().attempts_size(), 0) << "so it cancels what it runs";
  EXPECT_EQ(task_managers_.at("tm-3")->Take(Kind::kAdopt).at(0).adopt().attempts_size(), 2);
}

TEST_F(ReconciliationTest, SaysFromWhereOnEventsAreToBeSentAgain) {
  RunUnderFirstLeader();
  CountEvents(/*sent=*/70, /*forgotten=*/6, /*received=*/68);
  StartSecondLeader();
  RegisterAll();
  EXPECT_EQ(second_->job->status(), JobStatus::kRunning);
  const std::vector<Kind> adopt = task_managers_.at("tm-1")->Take(Kind::kAdopt);
  ASSERT_EQ(adopt.at(0).adopt().received_size(), 1);
  EXPECT_EQ(adopt[0].adopt().received(0).count(), 68u);
}

TEST_F(ReconciliationTest, BeginsAnewIfAnEventIsLostForGood) {
  RunUnderFirstLeader();
  CountEvents(/*sent=*/70, /*forgotten=*/6, /*received=*/5);
  StartSecondLeader();
  RegisterAll();
  EXPECT_EQ(second_->job->status(), JobStatus::kRestarting);
  EXPECT_THAT(TakeFromAll(Kind::kCancel), SizeIs(2));
}

TEST_F(ReconciliationTest, BeginsAnewFromASavepointToStopWithThatDidNotComplete) {
  RunUnderFirstLeader();
  Task("tm-1", 1).set_stop_checkpoint(9);
  StartSecondLeader();
  RegisterAll();
  EXPECT_EQ(second_->job->status(), JobStatus::kRestarting);
}

TEST_F(ReconciliationTest, TakesOnTheParallelismThatTheJobRunsWith) {
  RunUnderFirstLeader();
  description_.graph = std::make_shared<const JobGraph>(SourceAndSink(2, 3));
  StartSecondLeader();
  RegisterAll();
  EXPECT_EQ(second_->job->status(), JobStatus::kRunning);
  EXPECT_THAT(second_->job->Details().vertices[1].subtasks, SizeIs(2));
}

TEST_F(ReconciliationTest, CancelsWhatWasReportedIfTheJobIsCancelledMeanwhile) {
  RunUnderFirstLeader();
  StartSecondLeader();
  Register(second_.get(), "tm-1", reports_.at("tm-1"));
  ASSERT_TRUE(second_->job->Cancel().ok());
  EXPECT_EQ(second_->job->status(), JobStatus::kCancelling);
  AnswerCancels();
  EXPECT_EQ(second_->job->status(), JobStatus::kCanceled);
}

TEST_F(ReconciliationTest, ForgetsTheReportOfATaskManagerThatIsLost) {
  RunUnderFirstLeader();
  StartSecondLeader();
  Register(second_.get(), "tm-1", reports_.at("tm-1"));
  second_->resources.OnClosed(task_managers_.at("tm-1").get());
  Register(second_.get(), "tm-2", reports_.at("tm-2"));
  EXPECT_EQ(second_->job->status(), JobStatus::kReconciling);
  Register(second_.get(), "tm-1", {});
  executor_.Advance(kTimeout);
  AnswerCancels();
  executor_.RunUntilIdle();
  EXPECT_EQ(second_->job->status(), JobStatus::kRunning);
  EXPECT_THAT(TakeFromAll(Kind::kDeploy), SizeIs(2));
}

TEST_F(ReconciliationTest, TriggersTheLastCheckpointIfTheInputEndedMeanwhile) {
  RunUnderFirstLeader();
  Task("tm-1", 1).set_input_ended(true);
  Task("tm-2", 1).set_input_ended(true);
  StartSecondLeader();
  RegisterAll();
  EXPECT_THAT(TakeFromAll(Kind::kTriggerCoordinator), SizeIs(1)) << "at once";
}

TEST_F(ReconciliationTest, DismissesATaskManagerWhoseTasksAreItsOwn) {
  RunUnderFirstLeader();
  const auto again = std::make_shared<FakeTaskManager>("tm-1", 1);
  proto::Register registration = again->Registration();
  registration.set_leader_epoch(5);
  *registration.add_jobs() = reports_.at("tm-1");
  EXPECT_FALSE(first_->resources.Register(again, registration));
  EXPECT_THAT(again->Take(Kind::kDismissed), SizeIs(1));
  EXPECT_TRUE(again->closed);
}

}  // namespace
}  // namespace weir
