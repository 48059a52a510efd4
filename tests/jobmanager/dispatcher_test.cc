#include "jobmanager/dispatcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "jobmanager/job_settings.h"
#include "jobmanager/proto_ids.h"
#include "proto/control_plane.pb.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"
#include "tests/jobmanager/fake_task_manager.h"
#include "tests/jobmanager/manual_executor.h"
#include "tests/jobmanager/test_graphs.h"

namespace weir {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;
using Kind = proto::JobManagerMessage;

// Several jobs of two tasks and a coordinator, all on one TaskManager that writes down what it
// hears.
class DispatcherTest : public testing::Test {
 protected:
  DispatcherTest()
      : folder_(StrCat(testing::TempDir(), "weir-dispatcher-", ToString(RandomId<JobId>()))),
        dispatcher_({.configuration = Configuration(WeirOptions()),
                     .checkpoint_dir = folder_,
                     .leader_epoch = LeaderEpoch(5),
                     .abi_stamp = ""},
                    &executor_, nullptr, nullptr, nullptr),
        task_manager_(std::make_shared<FakeTaskManager>("tm-1", 10)) {
    dispatcher_.OnRegister(task_manager_, task_manager_->Registration());
    for (uint64_t number = 1; number <= 3; ++number) Submit(JobId(1, number));
    NoteDeployments();
  }
  ~DispatcherTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  void Submit(JobId id) {
    JobDescription job;
    job.id = id;
    job.graph = std::make_shared<const JobGraph>(SourceAndSink(1, 1));
    job.settings = Configuration(WeirOptions());
    job.settings.Set(kRestartStrategyType, "fixed-delay");
    job.settings.Set(kFixedDelayDelay, absl::Seconds(1));
    ASSERT_TRUE(dispatcher_.Submit(std::move(job)).ok());
    executor_.RunUntilIdle();
  }
  void NoteDeployments() {
    for (const Kind& message : task_manager_->Take(Kind::kDeploy)) {
      deployed_[IdFromBytes<JobId>(message.deploy().job().job_id())] = message.deploy();
    }
  }
  void Hear(const proto::TaskManagerMessage& message) {
    dispatcher_.OnMessage(task_manager_.get(), message);
    executor_.RunUntilIdle();
  }
  void Report(const std::string& attempt, proto::TaskState state) {
    proto::TaskManagerMessage message;
    message.mutable_task_state()->set_attempt(attempt);
    message.mutable_task_state()->set_state(state);
    Hear(message);
  }
  void ReportAll(JobId job, proto::TaskState state) {
    for (const proto::TaskDeployment& task : deployed_.at(job).tasks()) {
      Report(task.attempt(), state);
    }
  }
  JobDetails Details(JobId job) {
    JobDetails details;
    dispatcher_.RequestJob(job, [&](absl::StatusOr<JobDetails> found) { details = *found; });
    executor_.RunUntilIdle();
    return details;
  }
  size_t NumRunning(JobId job) {
    size_t num = 0;
    for (const VertexDetails& vertex : Details(job).vertices) {
      for (const SubtaskDetails& subtask : vertex.subtasks) {
        num += subtask.state == ExecutionState::kRunning ? 1 : 0;
      }
    }
    return num;
  }

  const JobId first_{1, 1};
  const JobId second_{1, 2};
  const JobId third_{1, 3};
  ManualExecutor executor_;
  const std::string folder_;
  Dispatcher dispatcher_;
  std::shared_ptr<FakeTaskManager> task_manager_;
  std::map<JobId, proto::DeployTasks> deployed_;
};

TEST_F(DispatcherTest, HandsEachMessageToTheJobWhoseAttemptItIsOf) {
  ASSERT_THAT(deployed_, SizeIs(3));
  ReportAll(second_, proto::RUNNING);
  EXPECT_EQ(NumRunning(first_), 0u);
  EXPECT_EQ(NumRunning(second_), 2u);
  EXPECT_EQ(NumRunning(third_), 0u);

  executor_.Advance(absl::Seconds(1));
  const std::vector<Kind> triggers = task_manager_->Take(Kind::kTriggerCoordinator);
  ASSERT_THAT(triggers, SizeIs(1)) << "of the job that runs";
  proto::TaskManagerMessage ack;
  ack.mutable_coordinator_ack()->set_attempt(deployed_.at(second_).coordinators(0).attempt());
  ack.mutable_coordinator_ack()->set_checkpoint_id(1);
  Hear(ack);
  EXPECT_THAT(task_manager_->Take(Kind::kTrigger), SizeIs(1));

  proto::TaskManagerMessage event;
  event.mutable_event_to_coordinator()->set_job_id(IdToBytes(third_));
  event.mutable_event_to_coordinator()->set_operator_id(IdToBytes(TestOperator(1)));
  event.mutable_event_to_coordinator()->set_sender_attempt(deployed_.at(third_).tasks(0).attempt());
  Hear(event);
  const std::vector<Kind> events = task_manager_->Take(Kind::kEventToCoordinator);
  ASSERT_THAT(events, SizeIs(1));
  EXPECT_EQ(events[0].event_to_coordinator().job_id(), IdToBytes(third_));
  EXPECT_EQ(dispatcher_.num_stale_messages(), 0u);
}

TEST_F(DispatcherTest, DividesAHeartbeatAmongTheJobsItIsOf) {
  proto::TaskManagerMessage message;
  for (const auto& [job, deployment] : deployed_) {
    proto::TaskMetrics* const task = message.mutable_heartbeat()->add_tasks();
    task->set_attempt(deployment.tasks(0).attempt());
    task->set_records_out(100 * job.low());
  }
  message.mutable_heartbeat()->add_tasks()->set_attempt(IdToBytes(ExecutionAttemptId(6, 6)));
  Hear(message);
  for (const JobId job : {first_, second_, third_}) {
    int64_t records = 0;
    for (const VertexDetails& vertex : Details(job).vertices) {
      records += vertex.subtasks[0].metrics.write_records;
    }
    EXPECT_EQ(records, static_cast<int64_t>(100 * job.low()));
  }
}

TEST_F(DispatcherTest, DropsAndCountsMessagesOfAttemptsThatAreNoMore) {
  for (const JobId job : {first_, second_, third_}) ReportAll(job, proto::RUNNING);
  const proto::DeployTasks before = deployed_.at(first_);
  Report(before.tasks(0).attempt(), proto::FAILED);
  Report(before.tasks(1).attempt(), proto::CANCELED);
  executor_.Advance(absl::Seconds(1));
  NoteDeployments();
  ASSERT_NE(deployed_.at(first_).tasks(0).attempt(), before.tasks(0).attempt());
  ReportAll(first_, proto::RUNNING);
  ASSERT_EQ(NumRunning(first_), 2u) << "the new attempts have their way";
  EXPECT_EQ(dispatcher_.num_stale_messages(), 0u);

  Report(before.tasks(0).attempt(), proto::FAILED);
  proto::TaskManagerMessage message;
  message.mutable_coordinator_failed()->set_attempt(before.coordinators(0).attempt());
  Hear(message);
  Report(IdToBytes(ExecutionAttemptId(6, 6)), proto::FAILED);
  EXPECT_EQ(dispatcher_.num_stale_messages(), 3u);
  EXPECT_EQ(NumRunning(first_), 2u);

  // The same once a job has ended.
  dispatcher_.CancelJob(second_, [](const absl::Status& status) { EXPECT_TRUE(status.ok()); });
  executor_.RunUntilIdle();
  ReportAll(second_, proto::CANCELED);
  EXPECT_EQ(Details(second_).status, JobStatus::kCanceled);
  EXPECT_EQ(dispatcher_.num_stale_messages(), 3u);
  ReportAll(second_, proto::RUNNING);
  EXPECT_EQ(dispatcher_.num_stale_messages(), 5u);
  EXPECT_EQ(NumRunning(third_), 2u);
}

TEST_F(DispatcherTest, FindsTheFolderOfASavepointOrSaysThatThereIsNone) {
  absl::StatusOr<std::string> folder;
  const auto resolve = [&](JobId job, const std::string& given) {
    dispatcher_.ResolveSavepointDirectory(job, given, [&](auto found) { folder = found; });
    executor_.RunUntilIdle();
  };
  resolve(first_, "file:///s/here/");
  EXPECT_EQ(*folder, "/s/here");
  resolve(first_, "");
  EXPECT_EQ(folder.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(folder.status().ToString(), HasSubstr("execution.checkpointing.savepoint-dir"));
  resolve(JobId(9, 9), "/s");
  EXPECT_EQ(folder.status().code(), absl::StatusCode::kNotFound);
}

TEST_F(DispatcherTest, DisposesOfNothingThatARunningJobNeeds) {
  absl::Status status;
  const auto dispose = [&](const std::string& path) {
    dispatcher_.DisposeSavepoint(path, [&](const absl::Status& done) { status = done; });
    executor_.RunUntilIdle();
  };
  dispose(StrCat(folder_, "/", ToString(first_), "/chk-1/_metadata"));
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.ToString(), HasSubstr(ToString(first_)));
  dispose(StrCat(folder_, "/savepoint-1"));
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
}

TEST(JobSettingsTest, RefusesCheckpointsAtTheSameTimeWithAReason) {
  const auto settings =
      MakeJobSettings(Configuration(WeirOptions()), {},
                      {{"execution.checkpointing.max-concurrent-checkpoints", "2"}});
  EXPECT_EQ(settings.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(settings.status().ToString(), HasSubstr("one snapshot at a time"));
}

TEST(JobSettingsTest, UnderstandsFlinksOlderKeys) {
  const auto settings =
      MakeJobSettings(Configuration(WeirOptions()), {},
                      {{"state.checkpoints.num-retained", "4"}, {"state.savepoints.dir", "/s"}});
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(CheckpointSettingsOf(*settings).num_retained, 4u);
  EXPECT_EQ(settings->Get(kSavepointDir), "/s");
}

}  // namespace
}  // namespace weir
