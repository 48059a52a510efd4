#include "jobmanager/ha/job_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "jobmanager/dispatcher.h"
#include "jobmanager/ha/fenced_checkpoint_storage.h"
#include "jobmanager/ha/filesystem_ha_store.h"
#include "jobmanager/proto_ids.h"
#include "operators/testing/manual_clock.h"
#include "proto/control_plane.pb.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"
#include "tests/jobmanager/fake_task_manager.h"
#include "tests/jobmanager/manual_executor.h"
#include "tests/jobmanager/test_graphs.h"
#include "tests/support/temporary_folder.h"

namespace weir {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Kind = proto::JobManagerMessage;

// JobManagers of one cluster, which take over from each other.
class JobStoreTest : public testing::Test {
 protected:
  struct Leader {
    std::unique_ptr<FilesystemHaStore> ha;
    LeaderEpoch epoch;
    std::unique_ptr<JobStore> jobs;
  };

  JobStoreTest() : blobs_(*BlobStore::Open(folder_.PathOf("blobs"))) {}

  Leader TakeOver() {
    Leader leader;
    leader.ha = *FilesystemHaStore::Open(
        {.folder = folder_.PathOf("ha"), .lease_duration = absl::Nanoseconds(-1)}, &clock_);
    leader.epoch = **leader.ha->TryAcquire({});
    leader.jobs = std::make_unique<JobStore>(leader.ha.get(), leader.epoch, &blobs_,
                                             Configuration(WeirOptions()));
    return leader;
  }

  JobDescription Describe(JobId id) const {
    JobDescription job;
    job.id = id;
    job.graph = std::make_shared<const JobGraph>(SourceAndSink(1, 1));
    job.library_hash = "lib";
    job.uploaded_library = true;
    job.entry = "entry";
    job.arguments = {"--out", "x y"};
    job.files_hash = "files";
    job.request_settings = {{"restart-strategy.type", "fixed-delay"},
                            {"restart-strategy.fixed-delay.delay", "1 s"}};
    job.requested_parallelism = 3;
    job.checkpoint_dir = folder_.PathOf(StrCat("checkpoints/", ToString(id)));
    job.allow_non_restored_state = true;
    job.settings = Configuration(WeirOptions());
    return job;
  }

  TemporaryFolder folder_;
  ManualClock clock_;
  const BlobStore blobs_;
  const JobId id_{1, 1};
};

TEST_F(JobStoreTest, ReadsBackWhatWasSubmittedWithItsCheckpoints) {
  const CheckpointPointers pointers{.checkpoints = {{CheckpointId(3), "/c/chk-3", false},
                                                    {CheckpointId(4), "/s/savepoint-4", true}},
                                    .id_limit = CheckpointId(19)};
  {
    const Leader leader = TakeOver();
    ASSERT_TRUE(leader.jobs->PutJob(Describe(id_)).ok());
    ASSERT_TRUE(leader.jobs->PutCheckpoints(id_, pointers).ok());
    ASSERT_TRUE(leader.jobs->PutJob(Describe(JobId(1, 2))).ok());
  }
  const auto contents = TakeOver().jobs->Load();
  ASSERT_TRUE(contents.ok()) << contents.status();
  ASSERT_THAT(contents->jobs, SizeIs(2));
  const JobDescription& job = contents->jobs[0].description;
  const JobDescription expected = Describe(id_);
  EXPECT_EQ(job.id, id_);
  EXPECT_EQ(SerializeJobGraph(*job.graph), SerializeJobGraph(*expected.graph));
  EXPECT_EQ(job.library_hash, "lib");
  EXPECT_TRUE(job.uploaded_library);
  EXPECT_EQ(job.entry, "entry");
  EXPECT_EQ(job.arguments, expected.arguments);
  EXPECT_EQ(job.files_hash, "files");
  EXPECT_EQ(job.settings.Get(kRestartStrategyType), "fixed-delay");
  EXPECT_EQ(job.settings.Get(kParallelismDefault), 3);
  EXPECT_EQ(job.checkpoint_dir, expected.checkpoint_dir);
  EXPECT_TRUE(job.allow_non_restored_state);
  EXPECT_EQ(contents->jobs[0].checkpoints, pointers);
  EXPECT_EQ(contents->jobs[1].checkpoints, CheckpointPointers());
}

TEST_F(JobStoreTest, KeepsALargeJobAsABlob) {
  JobDescription job = Describe(id_);
  job.arguments = {std::string(1 << 20, 'x')};
  const Leader leader = TakeOver();
  ASSERT_TRUE(leader.jobs->PutJob(job).ok());
  EXPECT_LT(leader.ha->List(leader.epoch, "job-")->begin()->second.size(), 1000u);
  EXPECT_EQ(leader.jobs->Load()->jobs.at(0).description.arguments, job.arguments);
}

TEST_F(JobStoreTest, KeepsWhatBecameOfSavepoints) {
  const auto at = [](int64_t seconds) { return absl::FromUnixSeconds(seconds); };
  {
    const Leader leader = TakeOver();
    ASSERT_TRUE(leader.jobs
                    ->PutSavepoint({.job_id = id_,
                                    .id = "aa",
                                    .begin = at(3),
                                    .target_directory = "/s",
                                    .result = "/s/savepoint-1"})
                    .ok());
    ASSERT_TRUE(leader.jobs
                    ->PutSavepoint({.job_id = id_,
                                    .id = "bb",
                                    .begin = at(1),
                                    .target_directory = "/s",
                                    .result = absl::AbortedError("no")})
                    .ok());
    ASSERT_TRUE(
        leader.jobs
            ->PutSavepoint({.job_id = id_, .id = "cc", .begin = at(2), .target_directory = "/t"})
            .ok());
  }
  const Leader leader = TakeOver();
  const auto savepoints = leader.jobs->LoadSavepoints();
  ASSERT_TRUE(savepoints.ok()) << savepoints.status();
  ASSERT_THAT(*savepoints, SizeIs(3));
  EXPECT_EQ((*savepoints)[0].id, "bb");
  EXPECT_TRUE(absl::IsAborted((*savepoints)[0].result->status()));
  EXPECT_FALSE((*savepoints)[1].result.has_value());
  EXPECT_EQ((*savepoints)[1].target_directory, "/t");
  EXPECT_EQ(**(*savepoints)[2].result, "/s/savepoint-1");
  ASSERT_TRUE(leader.jobs->RemoveSavepoint("aa").ok());
  EXPECT_THAT(*leader.jobs->LoadSavepoints(), SizeIs(2));
}

TEST_F(JobStoreTest, ForgetsCheckpointsOfNoJob) {
  const Leader leader = TakeOver();
  ASSERT_TRUE(leader.jobs->PutCheckpoints(id_, {}).ok());
  ASSERT_TRUE(leader.jobs->Load().ok());
  EXPECT_THAT(*leader.ha->List(leader.epoch, ""), IsEmpty());
}

TEST_F(JobStoreTest, PassesOverWhatIsDamaged) {
  const Leader leader = TakeOver();
  ASSERT_TRUE(leader.jobs->PutJob(Describe(id_)).ok());
  ASSERT_TRUE(leader.ha->Put(leader.epoch, "job-x", "\xff\xff").ok());
  ASSERT_TRUE(leader.ha->Put(leader.epoch, "result-x", "\xff\xff").ok());
  // A job whose checkpoints are unknown must not begin anew.
  ASSERT_TRUE(leader.jobs->PutJob(Describe(JobId(1, 2))).ok());
  ASSERT_TRUE(
      leader.ha->Put(leader.epoch, StrCat("checkpoints-", ToString(JobId(1, 2))), "\xff").ok());
  const auto contents = leader.jobs->Load();
  ASSERT_TRUE(contents.ok()) << contents.status();
  ASSERT_THAT(contents->jobs, SizeIs(1));
  EXPECT_EQ(contents->jobs[0].description.id, id_);
  EXPECT_THAT(contents->ended_jobs, IsEmpty());
}

TEST_F(JobStoreTest, TakesAJobThatHasEndedForEndedEvenIfItWasNotForgotten) {
  EndedJobRecord ended;
  ended.overview.id = id_;
  ended.overview.name = "test job";
  ended.overview.status = JobStatus::kFailed;
  ended.overview.task_counts[ExecutionState::kFailed] = 2;
  ended.timestamps[JobStatus::kInitializing] = absl::FromUnixSeconds(100);
  ended.timestamps[JobStatus::kFailed] = absl::FromUnixSeconds(160);
  ended.exceptions = {{.exception_name = "INTERNAL", .stacktrace = "out of cheese"}};
  ended.result.failure = ended.exceptions.front();
  ended.num_completed_checkpoints = 7;
  ended.latest_checkpoint = {CheckpointId(9), "/c/chk-9", false};
  {
    const Leader leader = TakeOver();
    ASSERT_TRUE(leader.jobs->PutJob(Describe(id_)).ok());
    ASSERT_TRUE(leader.jobs->PutResult(ended).ok());
  }
  const Leader leader = TakeOver();
  const auto contents = leader.jobs->Load();
  ASSERT_TRUE(contents.ok()) << contents.status();
  EXPECT_THAT(contents->jobs, IsEmpty());
  ASSERT_THAT(contents->ended_jobs, SizeIs(1));
  const EndedJobRecord& read = contents->ended_jobs[0];
  EXPECT_EQ(read.overview.id, id_);
  EXPECT_EQ(read.overview.name, "test job");
  EXPECT_EQ(read.overview.status, JobStatus::kFailed);
  EXPECT_EQ(read.overview.start_time, absl::FromUnixSeconds(100));
  EXPECT_EQ(read.overview.end_time, absl::FromUnixSeconds(160));
  EXPECT_EQ(read.overview.task_counts[ExecutionState::kFailed], 2u);
  EXPECT_EQ(read.result.net_runtime, absl::Seconds(60));
  EXPECT_EQ(read.result.failure->stacktrace, "out of cheese");
  EXPECT_EQ(read.exceptions.at(0).exception_name, "INTERNAL");
  EXPECT_EQ(read.num_completed_checkpoints, 7u);
  EXPECT_EQ(read.latest_checkpoint, ended.latest_checkpoint);
  EXPECT_THAT(*leader.ha->List(leader.epoch, "job-"), IsEmpty());
  ASSERT_TRUE(leader.jobs->RemoveResult(id_).ok());
  EXPECT_THAT(leader.jobs->Load()->ended_jobs, IsEmpty());
}

TEST_F(JobStoreTest, RefusesADeposedLeader) {
  const Leader old = TakeOver();
  const Leader leader = TakeOver();
  EXPECT_TRUE(absl::IsAborted(old.jobs->PutJob(Describe(id_))));
  EXPECT_TRUE(absl::IsAborted(old.jobs->PutCheckpoints(id_, {})));
  EXPECT_TRUE(absl::IsAborted(old.jobs->PutResult({})));
  EXPECT_TRUE(absl::IsAborted(old.jobs->Load().status()));
  EXPECT_THAT(leader.jobs->Load()->jobs, IsEmpty());
}

TEST_F(JobStoreTest, PointsToASavepointUntilACheckpointIsNewer) {
  ManualExecutor executor;
  const Leader leader = TakeOver();
  ASSERT_TRUE(leader.jobs->PutJob(Describe(id_)).ok());
  FencedCheckpointStorage storage(
      std::make_unique<FolderCheckpointStorage>(folder_.PathOf("job"), &executor), id_, {},
      leader.jobs.get(), &executor);
  const auto metadata = [this](uint64_t id) {
    auto made = std::make_shared<CheckpointMetadata>();
    made->id = CheckpointId(id);
    made->job_id = id_;
    return made;
  };
  std::vector<absl::StatusOr<std::string>> written;
  const auto note = [&](absl::StatusOr<std::string> path) { written.push_back(std::move(path)); };
  storage.Write(metadata(1), note);
  executor.RunUntilIdle();
  storage.WriteSavepoint(metadata(2), SavepointFormat::kCanonical, folder_.PathOf("s"), note);
  executor.RunUntilIdle();
  ASSERT_THAT(written, SizeIs(2));
  ASSERT_TRUE(written[1].ok()) << written[1].status();
  using Pointer = CheckpointPointers::Pointer;
  EXPECT_THAT(leader.jobs->Load()->jobs.at(0).checkpoints.checkpoints,
              ElementsAre(Pointer{CheckpointId(1), *written[0], false},
                          Pointer{CheckpointId(2), *written[1], true}));
  storage.Write(metadata(3), note);
  executor.RunUntilIdle();
  ASSERT_THAT(written, SizeIs(3));
  EXPECT_THAT(leader.jobs->Load()->jobs.at(0).checkpoints.checkpoints,
              ElementsAre(Pointer{CheckpointId(1), *written[0], false},
                          Pointer{CheckpointId(3), *written[2], false}));
  static_cast<void>(TakeOver());
  storage.WriteSavepoint(metadata(4), SavepointFormat::kCanonical, folder_.PathOf("s"), note);
  executor.RunUntilIdle();
  ASSERT_THAT(written, SizeIs(4));
  EXPECT_TRUE(absl::IsAborted(written[3].status())) << "nobody may stop by it";
}

// A Dispatcher with a TaskManager of its own, as after a take-over.
class RecoveringDispatcher {
 public:
  RecoveringDispatcher(JobStore* store, LeaderEpoch epoch, std::string folder)
      : store_(store),
        dispatcher_({.configuration = Configuration(WeirOptions()),
                     .checkpoint_dir = std::move(folder),
                     .leader_epoch = epoch,
                     .abi_stamp = "",
                     .job_store = store},
                    &executor_, nullptr, nullptr, nullptr) {
    auto recovered = ReadRecoveredJobs(store_);
    EXPECT_TRUE(recovered.ok()) << recovered.status();
    dispatcher_.Recover(*std::move(recovered));
    dispatcher_.OnRegister(task_manager_, task_manager_->Registration());
    executor_.RunUntilIdle();
  }

  std::optional<proto::DeployTasks> TakeDeployment() {
    const std::vector<Kind> deployments = task_manager_->Take(Kind::kDeploy);
    if (deployments.empty()) return std::nullopt;
    return deployments.back().deploy();
  }
  void Report(const proto::DeployTasks& deployed, proto::TaskState state) {
    for (const proto::TaskDeployment& task : deployed.tasks()) {
      proto::TaskManagerMessage message;
      message.mutable_task_state()->set_attempt(task.attempt());
      message.mutable_task_state()->set_state(state);
      Hear(message);
    }
  }
  // Answers for all of the job; returns whether the checkpoint is announced as complete.
  bool Checkpoint(const proto::DeployTasks& deployed) {
    executor_.Advance(absl::Seconds(1));
    const std::vector<Kind> triggers = task_manager_->Take(Kind::kTriggerCoordinator);
    if (triggers.empty()) return false;
    const uint64_t id = triggers.back().trigger_coordinator().checkpoint_id();
    for (const auto& coordinator : deployed.coordinators()) {
      proto::TaskManagerMessage ack;
      ack.mutable_coordinator_ack()->set_attempt(coordinator.attempt());
      ack.mutable_coordinator_ack()->set_checkpoint_id(id);
      ack.mutable_coordinator_ack()->set_state(StrCat("splits of ", id));
      Hear(ack);
    }
    for (const proto::TaskDeployment& task : deployed.tasks()) {
      proto::TaskManagerMessage ack;
      ack.mutable_checkpoint_ack()->set_attempt(task.attempt());
      ack.mutable_checkpoint_ack()->set_checkpoint_id(id);
      Hear(ack);
    }
    const std::vector<Kind> complete = task_manager_->Take(Kind::kComplete);
    return !complete.empty() && complete.back().complete().checkpoint_id() == id;
  }
  void Advance(absl::Duration time) { executor_.Advance(time); }
  void Hear(const proto::TaskManagerMessage& message) { Hear(task_manager_.get(), message); }
  void Hear(FakeTaskManager* task_manager, const proto::TaskManagerMessage& message) {
    dispatcher_.OnMessage(task_manager, message);
    executor_.RunUntilIdle();
  }
  void Register(const std::shared_ptr<FakeTaskManager>& task_manager,
                const proto::Register& registration) {
    dispatcher_.OnRegister(task_manager, registration);
    executor_.RunUntilIdle();
  }
  void Close(FakeTaskManager* task_manager) {
    dispatcher_.OnClosed(task_manager);
    executor_.RunUntilIdle();
  }
  std::vector<JobOverview> Jobs() {
    std::vector<JobOverview> jobs;
    dispatcher_.RequestJobs([&](auto found) { jobs = *std::move(found); });
    executor_.RunUntilIdle();
    return jobs;
  }
  absl::Status Scale(JobId job, const ResourceRequirements& requirements) {
    absl::Status result = absl::UnknownError("no answer");
    dispatcher_.UpdateRequirements(job, requirements,
                                   [&](const absl::Status& status) { result = status; });
    executor_.RunUntilIdle();
    return result;
  }
  ResourceRequirements Requirements(JobId job) {
    ResourceRequirements requirements;
    dispatcher_.RequestScaling(job, [&](absl::StatusOr<ScalingDetails> scaling) {
      requirements = scaling->Requirements();
    });
    executor_.RunUntilIdle();
    return requirements;
  }
  void Cancel(JobId job) {
    dispatcher_.CancelJob(job, [](const absl::Status& status) { EXPECT_TRUE(status.ok()); });
    executor_.RunUntilIdle();
  }

 private:
  ManualExecutor executor_;
  JobStore* const store_;
  Dispatcher dispatcher_;
  const std::shared_ptr<FakeTaskManager> task_manager_ =
      std::make_shared<FakeTaskManager>("tm-1", 10);
};

class RecoveryTest : public JobStoreTest {
 protected:
  std::unique_ptr<RecoveringDispatcher> Run(const Leader& leader) {
    return std::make_unique<RecoveringDispatcher>(leader.jobs.get(), leader.epoch,
                                                  folder_.PathOf("checkpoints"));
  }
  bool Exists(const std::string& checkpoint) const {
    return std::filesystem::exists(
        StrCat(folder_.PathOf(StrCat("checkpoints/", ToString(id_))), "/", checkpoint));
  }
};

TEST_F(RecoveryTest, RestoresAJobFromItsNewestCheckpointUnderItsOwnId) {
  const Leader old = TakeOver();
  ASSERT_TRUE(old.jobs->PutJob(Describe(id_)).ok());
  const auto first = Run(old);
  const auto deployed = first->TakeDeployment();
  ASSERT_TRUE(deployed.has_value());
  EXPECT_EQ(deployed->tasks(0).restored_checkpoint(), 0u);
  first->Report(*deployed, proto::RUNNING);
  ASSERT_TRUE(first->Checkpoint(*deployed));
  ASSERT_TRUE(first->Checkpoint(*deployed));

  const Leader leader = TakeOver();
  const auto second = Run(leader);
  ASSERT_THAT(second->Jobs(), SizeIs(1));
  EXPECT_EQ(second->Jobs()[0].id, id_);
  const auto again = second->TakeDeployment();
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->leader_epoch(), leader.epoch.value());
  EXPECT_EQ(again->tasks(0).restored_checkpoint(), 2u);
  EXPECT_NE(again->tasks(0).attempt(), deployed->tasks(0).attempt());

  // The old leader wakes, with all answers for a third checkpoint in its queue.
  EXPECT_FALSE(first->Checkpoint(*deployed)) << "nobody may be told that it is complete";
  EXPECT_TRUE(Exists("chk-2")) << "what the new leader stands on";
  second->Report(*again, proto::RUNNING);
  ASSERT_TRUE(second->Checkpoint(*again));
  EXPECT_FALSE(Exists("chk-2"));
  EXPECT_TRUE(Exists("chk-19")) << "an id that the old leader cannot have taken";

  // Nor can it end the job, and take the checkpoints away with it.
  first->Report(*deployed, proto::FINISHED);
  EXPECT_TRUE(Exists("chk-19"));
  EXPECT_THAT(TakeOver().jobs->Load()->ended_jobs, IsEmpty());
}

TEST_F(RecoveryTest, KeepsTheRequirementsThatWereAskedForWhileTheJobRan) {
  const ResourceRequirements asked = {{TestVertex(1), {1, 2}}, {TestVertex(2), {2, 3}}};
  {
    const Leader leader = TakeOver();
    ASSERT_TRUE(leader.jobs->PutJob(Describe(id_)).ok());
    const auto dispatcher = Run(leader);
    const auto deployed = dispatcher->TakeDeployment();
    ASSERT_TRUE(deployed.has_value());
    dispatcher->Report(*deployed, proto::RUNNING);
    EXPECT_TRUE(dispatcher->Scale(id_, asked).ok());
  }
  const Leader leader = TakeOver();
  const auto next = Run(leader);
  EXPECT_EQ(next->Requirements(id_), asked);
  const auto deployed = next->TakeDeployment();
  ASSERT_TRUE(deployed.has_value());
  EXPECT_EQ(deployed->tasks_size(), 5) << "it runs with them";
}

TEST_F(RecoveryTest, SaysThatRequirementsAreInEffectButNotKept) {
  const Leader old = TakeOver();
  ASSERT_TRUE(old.jobs->PutJob(Describe(id_)).ok());
  const auto dispatcher = Run(old);
  dispatcher->Report(*dispatcher->TakeDeployment(), proto::RUNNING);
  static_cast<void>(TakeOver());
  const absl::Status status =
      dispatcher->Scale(id_, {{TestVertex(1), {1, 2}}, {TestVertex(2), {1, 1}}});
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
}

TEST_F(RecoveryTest, WaitsForTaskManagersThatMayRunTasksAndNoLonger) {
  const Leader old = TakeOver();
  ASSERT_TRUE(old.jobs->PutJob(Describe(id_)).ok());
  const auto first = Run(old);
  ASSERT_TRUE(first->TakeDeployment().has_value());
  EXPECT_THAT(*old.jobs->LoadTaskManagers(), ElementsAre("tm-1"));
  ASSERT_TRUE(old.jobs->PutTaskManagers({"tm-1", "tm-2"}).ok());
  const Leader leader = TakeOver();
  const auto second = Run(leader);
  EXPECT_FALSE(second->TakeDeployment().has_value()) << "tm-2 may be running it";
  EXPECT_EQ(second->Jobs()[0].status, JobStatus::kReconciling);
  second->Advance(absl::Seconds(5));
  EXPECT_TRUE(second->TakeDeployment().has_value());
}

// tm-2 and the process that it has for a job, both of them of an earlier leader.
class IsolatedRecoveryTest : public RecoveryTest {
 protected:
  IsolatedRecoveryTest() {
    const Leader old = TakeOver();
    EXPECT_TRUE(old.jobs->PutJob(Describe(id_)).ok());
    EXPECT_TRUE(old.jobs->PutTaskManagers({"tm-2", kProcess}).ok());
    proto::RunJobProcess run;
    run.set_process_id(kProcess);
    run.set_job_id(IdToBytes(id_));
    run.set_num_slots(1);
    owner_ = std::make_shared<FakeTaskManager>("tm-2", 2);
    owner_->isolates_jobs = true;
    process_ = std::make_shared<FakeTaskManager>(*owner_, run);
    leader_ = TakeOver();
    dispatcher_ = Run(leader_);
  }

  void RegisterOwner() {
    proto::Register registration = owner_->Registration();
    registration.set_leader_epoch(1);
    registration.add_process_ids(kProcess);
    dispatcher_->Register(owner_, registration);
  }
  // With all tasks of the job.
  void RegisterProcess() {
    proto::Register registration = process_->Registration();
    registration.set_leader_epoch(1);
    proto::RunningJob* const job = registration.add_jobs();
    job->set_job_id(IdToBytes(id_));
    for (const uint64_t vertex : {uint64_t{1}, uint64_t{2}}) {
      proto::VertexParallelism* const parallelism = job->add_vertices();
      parallelism->set_vertex(IdToBytes(TestVertex(vertex)));
      parallelism->set_parallelism(1);
      proto::RunningTask* const task = job->add_tasks();
      task->set_attempt(IdToBytes(ExecutionAttemptId(vertex, vertex)));
      task->set_vertex(IdToBytes(TestVertex(vertex)));
      task->set_state(proto::RUNNING);
    }
    proto::RunningCoordinator* const coordinator = job->add_coordinators();
    coordinator->set_attempt(IdToBytes(ExecutionAttemptId(3, 3)));
    coordinator->set_operator_id(IdToBytes(TestOperator(1)));
    dispatcher_->Register(process_, registration);
  }
  JobStatus Status() { return dispatcher_->Jobs().at(0).status; }

  static constexpr const char* kProcess = "tm-2-job-1";
  std::shared_ptr<FakeTaskManager> owner_;
  std::shared_ptr<FakeTaskManager> process_;
  Leader leader_;
  std::unique_ptr<RecoveringDispatcher> dispatcher_;
};

TEST_F(IsolatedRecoveryTest, AProcessIsTakenInOnceItsTaskManagerHasRegistered) {
  RegisterProcess();
  EXPECT_THAT(process_->received, IsEmpty()) << "its slots are the TaskManager's";
  EXPECT_EQ(Status(), JobStatus::kReconciling);
  RegisterOwner();
  EXPECT_EQ(Status(), JobStatus::kRunning);
  EXPECT_THAT(process_->Take(Kind::kRegistered), SizeIs(1));
  const std::vector<Kind> adopted = process_->Take(Kind::kAdopt);
  ASSERT_THAT(adopted, SizeIs(1));
  EXPECT_EQ(adopted[0].adopt().attempts_size(), 2);
  EXPECT_THAT(owner_->Take(Kind::kEndJobProcess), IsEmpty());

  // It ends with its job, and no later leader waits for it.
  EXPECT_THAT(*leader_.jobs->LoadTaskManagers(), ElementsAre("tm-1", "tm-2", kProcess));
  dispatcher_->Cancel(id_);
  for (const uint64_t vertex : {uint64_t{1}, uint64_t{2}}) {
    proto::TaskManagerMessage message;
    message.mutable_task_state()->set_attempt(IdToBytes(ExecutionAttemptId(vertex, vertex)));
    message.mutable_task_state()->set_state(proto::CANCELED);
    dispatcher_->Hear(process_.get(), message);
  }
  const std::vector<Kind> ends = owner_->Take(Kind::kEndJobProcess);
  ASSERT_THAT(ends, SizeIs(1));
  EXPECT_EQ(ends[0].end_job_process().process_id(), kProcess);
  dispatcher_->Close(process_.get());
  EXPECT_THAT(*leader_.jobs->LoadTaskManagers(), ElementsAre("tm-1", "tm-2"));
}

TEST_F(IsolatedRecoveryTest, AProcessIsTakenInAfterItsTaskManager) {
  RegisterOwner();
  EXPECT_EQ(Status(), JobStatus::kReconciling) << "the process may have all of it";
  EXPECT_THAT(owner_->Take(Kind::kEndJobProcess), IsEmpty());
  RegisterProcess();
  EXPECT_EQ(Status(), JobStatus::kRunning);
}

TEST_F(IsolatedRecoveryTest, AProcessWithoutItsTaskManagerIsRefused) {
  RegisterProcess();
  dispatcher_->Advance(absl::Seconds(5));
  EXPECT_THAT(process_->Take(Kind::kRefused), SizeIs(1));
  EXPECT_TRUE(dispatcher_->TakeDeployment().has_value()) << "the job begins anew elsewhere";
}

TEST_F(IsolatedRecoveryTest, AProcessThatDoesNotComeIsKilled) {
  RegisterOwner();
  dispatcher_->Advance(absl::Seconds(5));
  const std::vector<Kind> ends = owner_->Take(Kind::kEndJobProcess);
  ASSERT_THAT(ends, SizeIs(1));
  EXPECT_EQ(ends[0].end_job_process().process_id(), kProcess);
  EXPECT_TRUE(ends[0].end_job_process().at_once());
  RegisterProcess();
  EXPECT_THAT(process_->Take(Kind::kRefused), SizeIs(1)) << "it was about to die";
}

TEST_F(RecoveryTest, PointsToNoMoreCheckpointsAfterManyTakeOvers) {
  ASSERT_TRUE(TakeOver().jobs->PutJob(Describe(id_)).ok());
  for (int take_over = 0; take_over < 5; ++take_over) {
    const Leader leader = TakeOver();
    const auto dispatcher = Run(leader);
    const auto deployed = dispatcher->TakeDeployment();
    ASSERT_TRUE(deployed.has_value());
    dispatcher->Report(*deployed, proto::RUNNING);
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(dispatcher->Checkpoint(*deployed));
    // The newest, and the one before it, whose pointer goes with the next.
    EXPECT_THAT(leader.jobs->Load()->jobs.at(0).checkpoints.checkpoints, SizeIs(2));
  }
}

TEST_F(RecoveryTest, RemembersAJobThatEndedAndRunsItNoMore) {
  {
    const Leader leader = TakeOver();
    ASSERT_TRUE(leader.jobs->PutJob(Describe(id_)).ok());
    ASSERT_TRUE(leader.jobs->PutJob(Describe(JobId(1, 2))).ok());
    const auto dispatcher = Run(leader);
    dispatcher->Cancel(JobId(1, 2));
    ASSERT_THAT(dispatcher->Jobs(), SizeIs(2));
  }
  const Leader leader = TakeOver();
  EXPECT_THAT(leader.jobs->Load()->jobs, SizeIs(2)) << "CANCELLING is no end: its tasks still run";
  const auto dispatcher = Run(leader);
  EXPECT_THAT(dispatcher->Jobs(), Contains(Field(&JobOverview::status, JobStatus::kCanceled)))
      << "but it is remembered that somebody wants it";
  const auto deployed = dispatcher->TakeDeployment();
  ASSERT_TRUE(deployed.has_value());
  const auto job = IdFromBytes<JobId>(deployed->job().job_id());
  dispatcher->Report(*deployed, proto::RUNNING);
  dispatcher->Cancel(job);
  dispatcher->Report(*deployed, proto::CANCELED);

  const auto next = Run(TakeOver());
  std::map<JobId, JobStatus> states;
  for (const JobOverview& overview : next->Jobs()) states[overview.id] = overview.status;
  EXPECT_EQ(states[job], JobStatus::kCanceled);
  EXPECT_THAT(states, SizeIs(2));
}

TEST_F(RecoveryTest, RemovesTheCheckpointsOfAFinishedJobOnlyWhenItsEndIsKept) {
  const Leader leader = TakeOver();
  ASSERT_TRUE(leader.jobs->PutJob(Describe(id_)).ok());
  const auto dispatcher = Run(leader);
  const auto deployed = dispatcher->TakeDeployment();
  ASSERT_TRUE(deployed.has_value());
  dispatcher->Report(*deployed, proto::RUNNING);
  ASSERT_TRUE(dispatcher->Checkpoint(*deployed));
  ASSERT_TRUE(Exists("chk-1"));
  dispatcher->Report(*deployed, proto::FINISHED);
  EXPECT_FALSE(Exists(""));
  const auto contents = leader.jobs->Load();
  EXPECT_THAT(contents->jobs, IsEmpty());
  ASSERT_THAT(contents->ended_jobs, SizeIs(1));
  EXPECT_EQ(contents->ended_jobs[0].overview.status, JobStatus::kFinished);
}

TEST_F(RecoveryTest, DoesNotBeginAnewWhenNoCheckpointCanBeRead) {
  {
    const Leader leader = TakeOver();
    ASSERT_TRUE(leader.jobs->PutJob(Describe(id_)).ok());
    const auto dispatcher = Run(leader);
    const auto deployed = dispatcher->TakeDeployment();
    dispatcher->Report(*deployed, proto::RUNNING);
    ASSERT_TRUE(dispatcher->Checkpoint(*deployed));
  }
  folder_.Write(StrCat("checkpoints/", ToString(id_), "/chk-1/_metadata"), "damaged");
  const auto dispatcher = Run(TakeOver());
  EXPECT_FALSE(dispatcher->TakeDeployment().has_value());
  EXPECT_EQ(dispatcher->Jobs().at(0).status, JobStatus::kFailed);
}

}  // namespace
}  // namespace weir
