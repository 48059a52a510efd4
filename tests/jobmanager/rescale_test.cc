#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
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

namespace weir {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Kind = proto::JobManagerMessage;

// Jobs with a real ResourceManager, on TaskManagers that do all they are told at once: tasks are
// RUNNING when deployed, answer barriers and let themselves be cancelled. The graph: source
// (coordinator) -> sink.
class RescaleTest : public testing::Test, public TaskManagerListener {
 protected:
  struct LiveTask {
    FakeTaskManager* on = nullptr;
    proto::TaskDeployment deployment;
  };

  RescaleTest() {
    folder_ = StrCat(testing::TempDir(), "weir-rescale-", ToString(RandomId<JobId>()));
    settings_.Set(kRestartStrategyType, "fixed-delay");
    settings_.Set(kFixedDelayAttempts, 100);
    settings_.Set(kFixedDelayDelay, absl::Seconds(1));
    settings_.Set(kCheckpointingInterval, absl::Minutes(10));
    settings_.Set(kSubmissionStabilizationTimeout, absl::Seconds(10));
    settings_.Set(kExecutingStabilizationTimeout, absl::Seconds(60));
    settings_.Set(kExecutingCooldown, absl::Seconds(30));
    graph_ = SourceAndSink(2, 2);
    resources_ = std::make_unique<ResourceManager>(
        ResourceManagerOptions{
            .heartbeat_timeout = absl::Hours(10), .leader_epoch = LeaderEpoch(5), .abi_stamp = ""},
        &executor_, this);
  }
  ~RescaleTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  void OnTaskManagerLost(TaskManagerGateway* task_manager, const absl::Status& reason) override {
    if (job_ != nullptr) job_->OnTaskManagerLost(task_manager, reason);
  }
  void OnSlotsChanged() override {
    if (job_ != nullptr) job_->OnSlotsChanged();
  }

  void UseAdaptive() { settings_.Set(kJobManagerScheduler, "adaptive"); }

  FakeTaskManager* AddTaskManager(uint32_t num_slots) {
    auto added =
        std::make_shared<FakeTaskManager>(StrCat("tm-", task_managers_.size() + 1), num_slots);
    task_managers_.push_back(added);
    resources_->Register(added, added->Registration());
    Settle();
    return added.get();
  }
  void LoseTaskManager(FakeTaskManager* lost) {
    std::erase_if(live_, [&](const auto& task) { return task.second.on == lost; });
    resources_->OnClosed(lost);
    Settle();
  }

  void StartJob() {
    JobDescription description;
    description.id = JobId(3, 4);
    description.graph = std::make_shared<const JobGraph>(graph_);
    description.checkpoint_dir = folder_;
    description.settings = settings_;
    job_ = std::make_shared<JobMaster>(
        description,
        JobMasterServices{.executor = &executor_,
                          .resource_manager = resources_.get(),
                          .leader_epoch = LeaderEpoch(5),
                          .on_attempts =
                              [this](JobId, const std::vector<ExecutionAttemptId>& gone,
                                     const std::vector<ExecutionAttemptId>& begun) {
                                for (const ExecutionAttemptId& attempt : gone)
                                  known_.erase(attempt);
                                known_.insert(begun.begin(), begun.end());
                              },
                          .on_ended = [](JobId) {}},
        std::make_unique<FolderCheckpointStorage>(folder_, &executor_));
    job_->Start();
    Settle();
  }

  // Lets everybody do what they are told, until nobody has anything to do.
  void Settle() {
    executor_.RunUntilIdle();
    bool busy = true;
    while (busy) {
      busy = false;
      for (const auto& task_manager : task_managers_) {
        for (const Kind& message : std::exchange(task_manager->received, {})) {
          busy = true;
          Obey(task_manager.get(), message);
          executor_.RunUntilIdle();
        }
      }
    }
  }
  void Advance(absl::Duration duration) {
    executor_.Advance(duration);
    Settle();
  }

  void Obey(FakeTaskManager* task_manager, const Kind& message) {
    if (message.has_deploy()) {
      for (const proto::TaskDeployment& task : message.deploy().tasks()) {
        live_[task.attempt()] = {task_manager, task};
        graph_of_deployment_ = *ParseJobGraph(message.deploy().job().job_graph());
        ReportTask(task.attempt(), proto::RUNNING);
      }
      for (const auto& coordinator : message.deploy().coordinators()) coordinator_ = coordinator;
    } else if (message.has_cancel()) {
      if (hold_cancels_) return;
      for (const std::string& attempt : message.cancel().attempts()) {
        if (live_.erase(attempt) > 0) ReportTask(attempt, proto::CANCELED);
      }
    } else if (message.has_trigger_coordinator() && !hold_checkpoints_) {
      proto::TaskManagerMessage answer;
      answer.mutable_coordinator_ack()->set_attempt(coordinator_.attempt());
      answer.mutable_coordinator_ack()->set_checkpoint_id(
          message.trigger_coordinator().checkpoint_id());
      answer.mutable_coordinator_ack()->set_state(
          StrCat("splits@", message.trigger_coordinator().checkpoint_id()));
      job_->HandleMessage(answer);
    } else if (message.has_trigger()) {
      AnswerBarriers(message.trigger().checkpoint_id());
    }
  }
  void AnswerBarriers(uint64_t checkpoint) {
    for (const auto& [attempt, task] : live_) {
      proto::TaskManagerMessage answer;
      if (decline_checkpoints_) {
        answer.mutable_checkpoint_decline()->set_attempt(attempt);
        answer.mutable_checkpoint_decline()->set_checkpoint_id(checkpoint);
        answer.mutable_checkpoint_decline()->set_reason("no disk");
      } else {
        answer.mutable_checkpoint_ack()->set_attempt(attempt);
        answer.mutable_checkpoint_ack()->set_checkpoint_id(checkpoint);
      }
      job_->HandleMessage(answer);
    }
  }
  void ReportTask(const std::string& attempt, proto::TaskState state) {
    proto::TaskManagerMessage message;
    message.mutable_task_state()->set_attempt(attempt);
    message.mutable_task_state()->set_state(state);
    if (state == proto::FAILED) message.mutable_task_state()->set_error("oops");
    job_->HandleMessage(message);
  }
  void FailOneTask() {
    const std::string attempt = live_.begin()->first;
    live_.erase(attempt);
    ReportTask(attempt, proto::FAILED);
    Settle();
  }

  absl::Status Want(uint32_t sources, uint32_t sinks, uint32_t at_least = 1) {
    const absl::Status status = job_->UpdateRequirements(
        {{TestVertex(1), {at_least, sources}}, {TestVertex(2), {at_least, sinks}}});
    Settle();
    return status;
  }
  // Of the tasks that live, by vertex.
  std::vector<uint32_t> Parallelism() {
    std::vector<uint32_t> counts(2);
    for (const auto& [attempt, task] : live_) {
      ++counts[IdFromBytes<JobVertexId>(task.deployment.vertex()) == TestVertex(1) ? 0 : 1];
    }
    return counts;
  }
  const proto::TaskDeployment& Task(uint64_t vertex, uint32_t subtask) {
    for (const auto& [attempt, task] : live_) {
      if (IdFromBytes<JobVertexId>(task.deployment.vertex()) == TestVertex(vertex) &&
          task.deployment.subtask() == subtask) {
        return task.deployment;
      }
    }
    ADD_FAILURE() << "no such task: " << vertex << " " << subtask;
    static const proto::TaskDeployment kNone;
    return kNone;
  }

  ManualExecutor executor_;
  std::string folder_;
  Configuration settings_{WeirOptions()};
  JobGraph graph_;
  std::unique_ptr<ResourceManager> resources_;
  std::vector<std::shared_ptr<FakeTaskManager>> task_managers_;
  std::shared_ptr<JobMaster> job_;
  std::map<std::string, LiveTask> live_;
  std::set<ExecutionAttemptId> known_;  // Whose messages the Dispatcher would give to the job.
  proto::CoordinatorDeployment coordinator_;
  JobGraph graph_of_deployment_;
  bool hold_cancels_ = false;
  bool hold_checkpoints_ = false;
  bool decline_checkpoints_ = false;
};

TEST_F(RescaleTest, RescalesInPlaceFromACheckpointTakenForIt) {
  AddTaskManager(4);
  StartJob();
  EXPECT_THAT(Parallelism(), ElementsAre(2, 2));
  ASSERT_TRUE(Want(3, 4).ok());
  EXPECT_EQ(job_->status(), JobStatus::kRunning);
  EXPECT_EQ(job_->id(), JobId(3, 4));
  EXPECT_THAT(Parallelism(), ElementsAre(3, 4));
  EXPECT_EQ(Task(2, 3).restored_checkpoint(), 1u);
  EXPECT_EQ(Task(2, 1).attempt_number(), 1u) << "the second attempt of an old subtask";
  EXPECT_EQ(Task(2, 3).attempt_number(), 0u) << "the first of a new one";
  EXPECT_EQ(coordinator_.state(), "splits@1");
  EXPECT_EQ(coordinator_.parallelism(), 3u);
  EXPECT_EQ(graph_of_deployment_.vertices[1].parallelism, 4u);
  EXPECT_EQ(Task(1, 2).outputs(0).num_subpartitions(), 4u);
  EXPECT_EQ(Task(2, 0).gates(0).channels_size(), 3);
  EXPECT_EQ(known_.size(), 3u + 4u + 1u);
  EXPECT_EQ(job_->Details().vertices[1].subtasks.size(), 4u);
  EXPECT_EQ(job_->Details().plan.nodes[1].parallelism, 4u);
  EXPECT_THAT(job_->Exceptions(10).entries, IsEmpty());
  EXPECT_EQ(resources_->Overview().num_free_slots, 0u);

  ASSERT_TRUE(Want(1, 2).ok());
  EXPECT_THAT(Parallelism(), ElementsAre(1, 2));
  EXPECT_EQ(Task(2, 1).restored_checkpoint(), 2u);
  EXPECT_EQ(Task(2, 1).attempt_number(), 2u);
  EXPECT_EQ(known_.size(), 1u + 2u + 1u);
  EXPECT_EQ(resources_->Overview().num_free_slots, 2u);

  const ScalingDetails scaling = job_->Scaling();
  EXPECT_EQ(scaling.num_rescales, 2u);
  EXPECT_EQ(scaling.reason, "");
  ASSERT_THAT(scaling.history, SizeIs(2));
  EXPECT_EQ(scaling.history[1].cause, RescaleCause::kUpdateRequirement);
  EXPECT_EQ(scaling.history[1].result, RescaleResult::kCompleted);
  EXPECT_EQ(scaling.history[1].checkpoint, 1u);
  EXPECT_EQ(scaling.history[1].vertices[1].before, 2u);
  EXPECT_EQ(scaling.history[1].vertices[1].after, 4u);
}

TEST_F(RescaleTest, GoesThroughRestartingAndCreatedAndCountsAsNoRestart) {
  AddTaskManager(4);
  StartJob();
  hold_cancels_ = true;
  ASSERT_TRUE(Want(4, 4).ok());
  EXPECT_EQ(job_->status(), JobStatus::kRestarting) << "waits for the cancelled tasks";
  EXPECT_THAT(job_->Scaling().reason, HasSubstr("is being rescaled"));
  EXPECT_EQ(job_->Scaling().history[0].result, RescaleResult::kInProgress);
  hold_cancels_ = false;
  Advance(absl::Milliseconds(20));
  for (auto live = live_.begin(); live != live_.end();) {
    const std::string attempt = (live++)->first;
    live_.erase(attempt);
    ReportTask(attempt, proto::CANCELED);
  }
  Settle();
  EXPECT_EQ(job_->status(), JobStatus::kRunning);
  const JobStatusTimestamps timestamps = job_->Details().timestamps;
  EXPECT_EQ(timestamps[JobStatus::kCreated] - timestamps[JobStatus::kRestarting],
            absl::Milliseconds(20));
  EXPECT_EQ(job_->Scaling().history[0].Downtime(executor_.now()), absl::Milliseconds(20));
  const MetricReport metrics = job_->Metrics("");
  const auto value_of = [&](std::string_view name) {
    for (size_t i = 0; i < metrics.values.size(); ++i) {
      if (metrics.layout->names[i] == name) return metrics.values[i];
    }
    return -1.0;
  };
  EXPECT_EQ(value_of("numRestarts"), 0);
  EXPECT_EQ(value_of("numRescales"), 1);
}

TEST_F(RescaleTest, RebalancesAForwardEdgeWhileItsEndsDiffer) {
  graph_.edges[0].strategy = ShipStrategy::kForward;
  AddTaskManager(4);
  StartJob();
  EXPECT_EQ(Task(2, 1).gates(0).channels_size(), 1);
  ASSERT_TRUE(Want(2, 4).ok());
  EXPECT_EQ(graph_of_deployment_.edges[0].strategy, ShipStrategy::kRebalance);
  EXPECT_EQ(Task(2, 3).gates(0).channels_size(), 2);
  EXPECT_EQ(Task(1, 0).outputs(0).num_subpartitions(), 4u);
  ASSERT_TRUE(Want(4, 4).ok());
  EXPECT_EQ(graph_of_deployment_.edges[0].strategy, ShipStrategy::kForward);
  EXPECT_EQ(Task(2, 3).gates(0).channels_size(), 1);
}

TEST_F(RescaleTest, RefusesRequirementsThatDoNotFit) {
  AddTaskManager(2);
  StartJob();
  const absl::Status bad = Want(2, 129);
  EXPECT_EQ(bad.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(ToStd(bad.message())), HasSubstr("max_parallelism=128"));
  const absl::Status no_slots = Want(2, 3);
  EXPECT_EQ(no_slots.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(ToStd(no_slots.message())),
              AllOf(HasSubstr("slots needed=3"), HasSubstr("jobmanager.scheduler: adaptive")));
  EXPECT_EQ(job_->Scaling().Requirements().at(TestVertex(2)).upper, 2u) << "nothing has changed";
  ASSERT_TRUE(job_->Cancel().ok());
  Settle();
  EXPECT_EQ(Want(1, 1).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(RescaleTest, DoesNotRescaleAJobThatWouldLoseItsState) {
  settings_.Set(kCheckpointingInterval, absl::ZeroDuration());
  UseAdaptive();
  AddTaskManager(1);
  StartJob();
  Advance(absl::Seconds(10));
  ASSERT_THAT(Parallelism(), ElementsAre(1, 1));
  const absl::Status status = Want(3, 3);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(ToStd(status.message())), HasSubstr("without checkpoints"));
  AddTaskManager(1);
  Advance(absl::Minutes(10));
  EXPECT_THAT(Parallelism(), ElementsAre(1, 1)) << "nor because slots came";
  EXPECT_THAT(job_->Scaling().reason, HasSubstr("without checkpoints"));
}

TEST_F(RescaleTest, DoesNothingForRequirementsThatChangeNoParallelism) {
  AddTaskManager(2);
  StartJob();
  ASSERT_TRUE(Want(2, 2, /*at_least=*/2).ok());
  EXPECT_EQ(Task(1, 0).attempt_number(), 0u);
  EXPECT_THAT(job_->Scaling().history, IsEmpty());
  EXPECT_EQ(job_->Scaling().Requirements().at(TestVertex(1)).lower, 2u);
}

TEST_F(RescaleTest, WaitingJobTakesNewRequirementsAtOnce) {
  AddTaskManager(1);
  StartJob();
  EXPECT_EQ(job_->status(), JobStatus::kCreated);
  EXPECT_THAT(job_->Scaling().reason,
              AllOf(HasSubstr("waits for slots"), HasSubstr("needed=2"), HasSubstr("free=1")));
  ASSERT_TRUE(Want(1, 1).ok());
  EXPECT_EQ(job_->status(), JobStatus::kRunning);
  EXPECT_THAT(Parallelism(), ElementsAre(1, 1));
  EXPECT_EQ(Task(1, 0).attempt_number(), 0u);
  EXPECT_THAT(job_->Scaling().history, IsEmpty()) << "its first start is no rescale";
}

TEST_F(RescaleTest, DoesNotWaitForItsCheckpointForEver) {
  AddTaskManager(4);
  StartJob();
  hold_checkpoints_ = true;
  ASSERT_TRUE(Want(4, 4).ok());
  EXPECT_THAT(Parallelism(), ElementsAre(2, 2)) << "its tasks run until the checkpoint is there";
  hold_checkpoints_ = false;
  Advance(absl::Minutes(1) - absl::Milliseconds(1));
  EXPECT_THAT(Parallelism(), ElementsAre(2, 2));
  Advance(absl::Milliseconds(1));
  EXPECT_THAT(Parallelism(), ElementsAre(4, 4));
  EXPECT_EQ(Task(1, 0).restored_checkpoint(), 0u) << "none was ever complete";
}

TEST_F(RescaleTest, UsesTheNewestCompletedCheckpointIfNoneCanBeTaken) {
  AddTaskManager(4);
  StartJob();
  absl::StatusOr<CheckpointId> taken = absl::UnknownError("not done");
  job_->TriggerCheckpoint([&](absl::StatusOr<CheckpointId> id) { taken = std::move(id); });
  Settle();
  ASSERT_TRUE(taken.ok()) << taken.status();
  decline_checkpoints_ = true;
  ASSERT_TRUE(Want(4, 4).ok());
  EXPECT_THAT(Parallelism(), ElementsAre(4, 4)) << "after two failures";
  EXPECT_EQ(Task(2, 3).restored_checkpoint(), 1u);
  EXPECT_EQ(job_->Checkpoints().counts.failed, 2u);
}

TEST_F(RescaleTest, RestartsWithNewRequirementsAfterAFailureMeanwhile) {
  AddTaskManager(4);
  StartJob();
  hold_checkpoints_ = true;
  ASSERT_TRUE(Want(4, 4).ok());
  FailOneTask();
  EXPECT_EQ(job_->status(), JobStatus::kRestarting);
  hold_checkpoints_ = false;
  Advance(absl::Seconds(1));
  EXPECT_EQ(job_->status(), JobStatus::kRunning);
  EXPECT_THAT(Parallelism(), ElementsAre(4, 4));
  const std::vector<RescaleEntry> history = job_->Scaling().history;
  ASSERT_THAT(history, SizeIs(2));
  EXPECT_EQ(history[1].result, RescaleResult::kFailed);
  EXPECT_EQ(history[0].result, RescaleResult::kCompleted);
  EXPECT_EQ(history[0].cause, RescaleCause::kUpdateRequirement);
}

TEST_F(RescaleTest, EndsInOrderWhenCancelledWhileItsTasksStop) {
  AddTaskManager(4);
  StartJob();
  hold_cancels_ = true;
  ASSERT_TRUE(Want(4, 4).ok());
  ASSERT_TRUE(job_->Cancel().ok());
  while (!live_.empty()) {
    const std::string attempt = live_.begin()->first;
    live_.erase(attempt);
    ReportTask(attempt, proto::CANCELED);
  }
  Settle();
  EXPECT_EQ(job_->status(), JobStatus::kCanceled);
  EXPECT_EQ(job_->Scaling().history[0].result, RescaleResult::kFailed);
  EXPECT_EQ(resources_->Overview().num_free_slots, 4u);
}

TEST_F(RescaleTest, KeepsItsSlotsFromJobsThatWait) {
  AddTaskManager(4);
  StartJob();
  bool served = false;
  resources_->RequestSlots({JobId(9, 9), {"", "", ""}}, absl::Hours(1),
                           [&](const absl::StatusOr<ResourceManager::Slots>&) { served = true; });
  ASSERT_TRUE(Want(3, 3).ok());
  EXPECT_THAT(Parallelism(), ElementsAre(3, 3));
  EXPECT_FALSE(served);
  ASSERT_TRUE(Want(1, 1).ok());
  EXPECT_THAT(Parallelism(), ElementsAre(1, 1));
  EXPECT_TRUE(served) << "what the job gives back";
}

TEST_F(RescaleTest, AdaptiveJobBeginsWithWhatFitsAndSaysSo) {
  UseAdaptive();
  graph_ = SourceAndSink(2, 4);
  StartJob();
  EXPECT_EQ(job_->status(), JobStatus::kCreated);
  EXPECT_THAT(job_->Scaling().reason, AllOf(HasSubstr("waits for slots"), HasSubstr("needed=1"),
                                            HasSubstr("wanted=4"), HasSubstr("free=0")));
  AddTaskManager(2);
  Advance(absl::Seconds(9));
  EXPECT_EQ(job_->status(), JobStatus::kCreated) << "more may come";
  AddTaskManager(1);
  Advance(absl::Seconds(1));
  EXPECT_EQ(job_->status(), JobStatus::kRunning);
  EXPECT_THAT(Parallelism(), ElementsAre(2, 3));
  EXPECT_EQ(Task(2, 2).attempt_number(), 0u);
  EXPECT_EQ(known_.size(), 2u + 3u + 1u);
  EXPECT_THAT(job_->Scaling().reason, AllOf(HasSubstr("wanted=4"), HasSubstr("free=3")));
}

TEST_F(RescaleTest, AdaptiveJobBeginsAtOnceIfAllFits) {
  UseAdaptive();
  StartJob();
  AddTaskManager(2);
  EXPECT_THAT(Parallelism(), ElementsAre(2, 2));
}

TEST_F(RescaleTest, AdaptiveJobFailsWhenItsLowerBoundsGetNoSlotsInTime) {
  UseAdaptive();
  StartJob();
  ASSERT_TRUE(Want(3, 3, /*at_least=*/2).ok());
  AddTaskManager(1);
  Advance(absl::Minutes(5) - absl::Milliseconds(1));
  EXPECT_EQ(job_->status(), JobStatus::kCreated);
  Advance(absl::Milliseconds(1));
  EXPECT_EQ(job_->status(), JobStatus::kFailed);
  EXPECT_THAT(job_->Result().failure->stacktrace,
              AllOf(HasSubstr("NoResourceAvailable"), HasSubstr("slots needed=2")));
}

TEST_F(RescaleTest, AdaptiveJobGoesUpWhenATaskManagerComes) {
  UseAdaptive();
  AddTaskManager(1);
  StartJob();
  Advance(absl::Seconds(10));
  ASSERT_THAT(Parallelism(), ElementsAre(1, 1));
  AddTaskManager(1);
  EXPECT_THAT(Parallelism(), ElementsAre(2, 2)) << "all that is wanted: nothing to wait for";
  EXPECT_EQ(Task(2, 1).restored_checkpoint(), 1u);
  EXPECT_EQ(job_->Scaling().history[0].cause, RescaleCause::kNewResourceAvailable);
  EXPECT_EQ(job_->Scaling().reason, "");
}

TEST_F(RescaleTest, WaitsForTheCooldownAndForSlotsToCeaseToCome) {
  UseAdaptive();
  graph_ = SourceAndSink(8, 8);
  AddTaskManager(1);
  StartJob();
  Advance(absl::Seconds(10));
  ASSERT_THAT(Parallelism(), ElementsAre(1, 1));
  AddTaskManager(1);
  Advance(absl::Seconds(40));
  AddTaskManager(1);
  Advance(absl::Seconds(19));
  EXPECT_THAT(Parallelism(), ElementsAre(1, 1)) << "less than is wanted: more may come";
  Advance(absl::Seconds(1));
  EXPECT_THAT(Parallelism(), ElementsAre(3, 3));
  // Now all that is wanted, but just after a rescale.
  AddTaskManager(5);
  Advance(absl::Seconds(29));
  EXPECT_THAT(Parallelism(), ElementsAre(3, 3));
  Advance(absl::Seconds(1));
  EXPECT_THAT(Parallelism(), ElementsAre(8, 8));
  // Who asks does not wait.
  ASSERT_TRUE(Want(4, 4).ok());
  EXPECT_THAT(Parallelism(), ElementsAre(4, 4));
}

TEST_F(RescaleTest, AdaptiveJobGoesOnWithLessWhenATaskManagerGoes) {
  UseAdaptive();
  AddTaskManager(1);
  FakeTaskManager* const second = AddTaskManager(1);
  StartJob();
  ASSERT_THAT(Parallelism(), ElementsAre(2, 2));
  job_->TriggerCheckpoint([](const absl::StatusOr<CheckpointId>&) {});
  Settle();
  LoseTaskManager(second);
  Advance(absl::Seconds(1));
  EXPECT_EQ(job_->status(), JobStatus::kCreated) << "it may come back";
  Advance(absl::Seconds(10));
  EXPECT_EQ(job_->status(), JobStatus::kRunning);
  EXPECT_THAT(Parallelism(), ElementsAre(1, 1));
  EXPECT_EQ(Task(2, 0).restored_checkpoint(), 1u);
  EXPECT_EQ(job_->Scaling().history[0].cause, RescaleCause::kRecoverableFailover);
  EXPECT_EQ(job_->Scaling().history[0].vertices[0].before, 2u);
}

TEST_F(RescaleTest, SurvivesTheLossOfATaskManagerWhileItsTasksStop) {
  UseAdaptive();
  AddTaskManager(2);
  FakeTaskManager* const second = AddTaskManager(2);
  StartJob();
  hold_cancels_ = true;
  ASSERT_TRUE(Want(4, 4).ok());
  LoseTaskManager(second);
  hold_cancels_ = false;
  while (!live_.empty()) {
    const std::string attempt = live_.begin()->first;
    live_.erase(attempt);
    ReportTask(attempt, proto::CANCELED);
  }
  Settle();
  EXPECT_EQ(job_->status(), JobStatus::kRunning);
  EXPECT_THAT(Parallelism(), ElementsAre(2, 2)) << "what there still is";
  EXPECT_THAT(job_->Exceptions(10).entries, IsEmpty());
}

TEST_F(RescaleTest, ReactiveJobTakesAllSlotsButWhereItsCodeAsksForAParallelism) {
  settings_.Set(kSchedulerMode, "reactive");
  graph_ = SourceAndSink(1, 1);
  graph_.vertices[0].parallelism_configured = true;
  StartJob();
  Advance(absl::Hours(1));
  EXPECT_EQ(job_->status(), JobStatus::kCreated) << "it waits for ever";
  AddTaskManager(3);
  Advance(absl::Seconds(10));
  EXPECT_THAT(Parallelism(), ElementsAre(1, 3));
  AddTaskManager(3);
  Advance(absl::Seconds(60));
  EXPECT_THAT(Parallelism(), ElementsAre(1, 6));
  EXPECT_EQ(job_->Scaling().scheduler, "reactive");
}

TEST_F(RescaleTest, ForgetsOldRescales) {
  settings_.Set(kRescaleHistorySize, 2);
  AddTaskManager(4);
  StartJob();
  for (const uint32_t parallelism : {3u, 1u, 4u}) {
    ASSERT_TRUE(Want(parallelism, parallelism).ok());
  }
  const ScalingDetails scaling = job_->Scaling();
  EXPECT_EQ(scaling.num_rescales, 3u);
  ASSERT_THAT(scaling.history, SizeIs(2));
  EXPECT_EQ(scaling.history[0].number, 3u);
}

}  // namespace
}  // namespace weir
