#include "jobmanager/job_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <thread>

#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"
#include "taskmanager/task_manager.h"

namespace weir {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

// Real JobManager, TaskManagers and builder, on loopback; the libraries of tests/support.
class JobManagerTest : public testing::Test {
 protected:
  JobManagerTest() : folder_(StrCat(testing::TempDir(), "weir-jm-", ToString(RandomId<JobId>()))) {}
  ~JobManagerTest() override {
    for (const auto& task_manager : task_managers_) EXPECT_TRUE(task_manager->Stop().ok());
    if (job_manager_ != nullptr) job_manager_->Stop();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  void StartCluster(uint32_t num_task_managers) {
    JobManagerOptions options;
    options.configuration = Configuration(WeirOptions());
    options.configuration.Set(kJobBuilderTimeout, absl::Seconds(20));
    options.configuration.Set(kCheckpointingInterval, absl::Milliseconds(50));
    options.checkpoint_dir = folder_ + "/checkpoints";
    options.working_dir = folder_ + "/" + working_dir_;
    options.builder_path = WEIR_JOB_BUILDER;
    options.builtin_library_dir = WEIR_TEST_JOBS;
    auto started = JobManager::Start(std::move(options));
    ASSERT_TRUE(started.ok()) << started.status();
    job_manager_ = *std::move(started);
    for (uint32_t i = 0; i < num_task_managers; ++i) AddTaskManager();
  }
  void AddTaskManager() {
    TaskManagerOptions options;
    options.jobmanager_address = StrCat("127.0.0.1:", job_manager_->rpc_port());
    options.num_slots = 2;
    options.temp_dir = folder_;
    auto started = TaskManager::Start(options);
    ASSERT_TRUE(started.ok()) << started.status();
    task_managers_.push_back(*std::move(started));
  }

  // Asks the gateway and waits for its answer.
  template <class T, class Method, class... Arguments>
  absl::StatusOr<T> Ask(Method method, Arguments... arguments) {
    std::promise<absl::StatusOr<T>> promise;
    (job_manager_->gateway()->*method)(
        std::move(arguments)...,
        [&promise](absl::StatusOr<T> answer) { promise.set_value(std::move(answer)); });
    return promise.get_future().get();
  }
  absl::StatusOr<JobId> Run(const std::string& entry, uint32_t parallelism = 2) {
    JarRunRequest request;
    request.jar_id = "test_jobs";
    request.entry_class = entry;
    request.parallelism = parallelism;
    return Ask<JobId>(&DispatcherGateway::RunJar, request);
  }
  void Cancel(JobId job) {
    std::promise<absl::Status> promise;
    job_manager_->gateway()->CancelJob(
        job, [&promise](absl::Status status) { promise.set_value(status); });
    EXPECT_TRUE(promise.get_future().get().ok());
  }
  // Waits until `condition` holds; false if that takes too long.
  template <class Condition>
  bool Eventually(Condition condition) {
    const Stopwatch watch;
    while (!condition()) {
      if (watch.Elapsed() > absl::Seconds(60)) return false;
      std::this_thread::yield();
    }
    return true;
  }
  JobStatus StatusOf(JobId job) {
    return Ask<JobResult>(&DispatcherGateway::RequestJobResult, job)->status;
  }
  uint64_t CompletedCheckpoints(JobId job) {
    return Ask<CheckpointStatistics>(&DispatcherGateway::RequestCheckpoints, job)->counts.completed;
  }

  const std::string folder_;
  std::string working_dir_ = "work";
  std::unique_ptr<JobManager> job_manager_;
  std::vector<std::unique_ptr<TaskManager>> task_managers_;
};

TEST_F(JobManagerTest, RunsJobsSideBySideAndCancelsOneWithoutTheOther) {
  StartCluster(2);
  const absl::StatusOr<JobId> first = Run("numbers");
  const absl::StatusOr<JobId> second = Run("numbers");
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_TRUE(second.ok()) << second.status();
  ASSERT_TRUE(Eventually(
      [&] { return CompletedCheckpoints(*first) > 0 && CompletedCheckpoints(*second) > 0; }));
  Cancel(*first);
  EXPECT_TRUE(Eventually([&] { return StatusOf(*first) == JobStatus::kCanceled; }));
  const uint64_t before = CompletedCheckpoints(*second);
  EXPECT_TRUE(Eventually([&] { return CompletedCheckpoints(*second) > before; }));
  EXPECT_EQ(StatusOf(*second), JobStatus::kRunning);
}

TEST_F(JobManagerTest, RunsAJobShippedWithWeirByItsName) {
  StartCluster(1);
  JarRunRequest request;
  request.jar_id = "numbers";
  const absl::StatusOr<JobId> job = Ask<JobId>(&DispatcherGateway::RunJar, request);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_TRUE(Eventually([&] { return StatusOf(*job) == JobStatus::kRunning; }));
  request.jar_id = "numbres";
  const absl::StatusOr<JobId> misspelt = Ask<JobId>(&DispatcherGateway::RunJar, request);
  EXPECT_EQ(misspelt.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(misspelt.status().message()), HasSubstr("did you mean the job numbers?"));
}

TEST_F(JobManagerTest, RestoresAJobWhenATaskManagerIsLostAndAnotherComes) {
  StartCluster(2);
  const absl::StatusOr<JobId> job = Run("numbers", 4);
  ASSERT_TRUE(job.ok()) << job.status();
  ASSERT_TRUE(Eventually([&] { return CompletedCheckpoints(*job) > 0; }));
  static_cast<void>(task_managers_.back()->Stop());
  task_managers_.pop_back();
  ASSERT_TRUE(Eventually([&] { return StatusOf(*job) != JobStatus::kRunning; }));
  AddTaskManager();
  ASSERT_TRUE(Eventually([&] { return StatusOf(*job) == JobStatus::kRunning; }));
  const uint64_t before = CompletedCheckpoints(*job);
  EXPECT_TRUE(Eventually([&] { return CompletedCheckpoints(*job) > before; }));
  const auto checkpoints = Ask<CheckpointStatistics>(&DispatcherGateway::RequestCheckpoints, *job);
  EXPECT_GE(checkpoints->counts.restored, 1u);
}

TEST_F(JobManagerTest, StaysUpAndSaysWhyWhenALibraryMisbehavesWhileItBuilds) {
  StartCluster(1);
  const auto error = [this](const std::string& entry) {
    return std::string(ToStd(Run(entry).status().message()));
  };
  EXPECT_THAT(error("crash"), HasSubstr("signal 6"));
  EXPECT_THAT(error("throw"), HasSubstr("out of cheese"));
  EXPECT_THAT(error("fail"), HasSubstr("no such topic"));
  EXPECT_THAT(error("no_such_job"), HasSubstr("numbers"));
  JarRunRequest request;
  request.jar_id = "other_stamp";
  EXPECT_THAT(
      std::string(ToStd(Ask<JobId>(&DispatcherGateway::RunJar, request).status().message())),
      HasSubstr("expected_stamp"));
  request.jar_id = "unknown";
  EXPECT_EQ(Ask<JobId>(&DispatcherGateway::RunJar, request).status().code(),
            absl::StatusCode::kNotFound);
  request.jar_id = "test_jobs";
  request.entry_class = "numbers";
  request.flink_configuration["execution.checkpointing.intervall"] = "1 s";
  EXPECT_THAT(
      std::string(ToStd(Ask<JobId>(&DispatcherGateway::RunJar, request).status().message())),
      HasSubstr("execution.checkpointing.interval"));
  EXPECT_TRUE(Run("numbers").ok());
}

TEST_F(JobManagerTest, FailsTheDeploymentOfAJobThatBuildsAnotherGraphEachTime) {
  StartCluster(1);
  JarRunRequest request;
  request.jar_id = "test_jobs";
  request.entry_class = "differ";
  request.flink_configuration["restart-strategy.type"] = "none";
  // The builder always counts to one; this process, which is the TaskManagers', counts on.
  absl::StatusOr<JobId> job = Ask<JobId>(&DispatcherGateway::RunJar, request);
  ASSERT_TRUE(job.ok()) << job.status();
  ASSERT_TRUE(Eventually(
      [&] { return CompletedCheckpoints(*job) > 0 || StatusOf(*job) == JobStatus::kFailed; }));
  request.program_args = {"--first", "5"};  // So that the first build is not taken again.
  job = Ask<JobId>(&DispatcherGateway::RunJar, request);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_TRUE(Eventually([&] { return StatusOf(*job) == JobStatus::kFailed; }));
}

TEST_F(JobManagerTest, TakesInListsAndDeletesLibraries) {
  StartCluster(0);
  const auto upload = [this](const std::string& name) {
    return Ask<std::string>(&DispatcherGateway::UploadJar, "mine.so",
                            StrCat(WEIR_TEST_JOBS, "/", name));
  };
  EXPECT_EQ(upload("libno_entry.so").status().code(), absl::StatusCode::kInvalidArgument);
  const absl::StatusOr<std::string> id = upload("libversion_1.so");
  ASSERT_TRUE(id.ok()) << id.status();
  auto jars = Ask<std::vector<JarFile>>(&DispatcherGateway::ListJars);
  ASSERT_TRUE(jars.ok());
  EXPECT_EQ(jars->front().id, *id) << "uploads come before what is shipped";
  EXPECT_EQ(jars->front().name, "mine.so");
  EXPECT_THAT(jars->front().entries, SizeIs(1));
  const auto remove = [this](const std::string& jar) {
    std::promise<absl::Status> promise;
    job_manager_->gateway()->DeleteJar(
        jar, [&promise](absl::Status status) { promise.set_value(status); });
    return promise.get_future().get();
  };
  EXPECT_TRUE(remove(*id).ok());
  EXPECT_EQ(remove(*id).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(remove("test_jobs").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(remove("../x").code(), absl::StatusCode::kNotFound);
}

TEST_F(JobManagerTest, FindsItsJobsAfterARestart) {
  StartCluster(1);
  const absl::StatusOr<JobId> running = Run("numbers", 1);
  const absl::StatusOr<JobId> cancelled = Run("numbers", 1);
  ASSERT_TRUE(running.ok()) << running.status();
  ASSERT_TRUE(cancelled.ok()) << cancelled.status();
  ASSERT_TRUE(Eventually([&] { return CompletedCheckpoints(*running) > 0; }));
  Cancel(*cancelled);
  ASSERT_TRUE(Eventually([&] { return StatusOf(*cancelled) == JobStatus::kCanceled; }));
  // What a killed process leaves is what a stopped one does: neither tells its jobs.
  job_manager_->Stop();
  for (const auto& task_manager : task_managers_) EXPECT_TRUE(task_manager->Stop().ok());
  task_managers_.clear();

  StartCluster(1);
  EXPECT_TRUE(Eventually([&] { return StatusOf(*cancelled) == JobStatus::kCanceled; }));
  ASSERT_TRUE(Eventually([&] { return StatusOf(*running) == JobStatus::kRunning; }));
  ASSERT_TRUE(Eventually([&] { return CompletedCheckpoints(*running) > 0; }));
  const auto checkpoints =
      Ask<CheckpointStatistics>(&DispatcherGateway::RequestCheckpoints, *running);
  EXPECT_EQ(checkpoints->counts.restored, 1u);
  const auto jobs = Ask<std::vector<JobOverview>>(&DispatcherGateway::RequestJobs);
  EXPECT_THAT(*jobs, SizeIs(2));
}

TEST_F(JobManagerTest, RefusesTheWorkingFolderOfAnother) {
  StartCluster(0);
  JobManagerOptions options;
  options.configuration = Configuration(WeirOptions());
  options.working_dir = folder_ + "/work";
  options.builder_path = WEIR_JOB_BUILDER;
  const auto second = JobManager::Start(std::move(options));
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("process.jobmanager.working-dir"));
}

TEST_F(JobManagerTest, StopsTwiceAndTwoOfThemLiveSideBySide) {
  StartCluster(0);
  const uint16_t port = job_manager_->rpc_port();
  const std::unique_ptr<JobManager> first = std::move(job_manager_);
  working_dir_ = "other-work";
  StartCluster(0);
  EXPECT_NE(job_manager_->rpc_port(), port);
  first->Stop();
  first->Stop();
  EXPECT_TRUE(Ask<ClusterOverview>(&DispatcherGateway::RequestClusterOverview).ok());
}

}  // namespace
}  // namespace weir
