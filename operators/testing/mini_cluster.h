#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "operators/api/stream_environment.h"
#include "operators/testing/local_job.h"

namespace weir {

namespace internal {
class TestFolder;
}

struct MiniClusterOptions {
  /// Of operators that do not set their own.
  uint32_t parallelism = 2;
  /// Threads that run the tasks.
  int num_workers = 2;
  /// How long records wait for a fuller batch.
  absl::Duration buffer_timeout = absl::Milliseconds(1);
  /// False: no checkpoint is taken, and sinks commit once, at the end of their input.
  bool checkpointing = true;
};

/// Runs whole jobs, from sources to sinks, in a test's process: real tasks on threads of their own,
/// real checkpoints and recovery; without JobManager and network. A small job takes some
/// milliseconds.
///
///     MiniCluster cluster;
///     CollectSink<Alert> alerts;
///     EXPECT_TRUE(cluster.Execute([&](StreamEnvironment& environment) {
///       environment.FromSource(ValuesSource<Login>(logins), ...).KeyBy(...).Process(...)
///           .SinkTo(alerts);
///       return absl::OkStatus();
///     }).ok());
///     EXPECT_THAT(alerts.Values(), ...);
///
/// Lifecycle: outlives the jobs it runs; its files go with it. Threads: one test thread.
class MiniCluster {
 public:
  /// Describes the job; called once for each run.
  using Build = std::function<absl::Status(StreamEnvironment&)>;

  explicit MiniCluster(MiniClusterOptions options = {});
  ~MiniCluster();
  MiniCluster(const MiniCluster&) = delete;
  MiniCluster& operator=(const MiniCluster&) = delete;

  /// Runs a bounded job to its end. Errors: of `build`; why the job failed; kDeadlineExceeded if it
  /// takes longer than `timeout`.
  [[nodiscard]] absl::Status Execute(const Build& build,
                                     absl::Duration timeout = absl::Seconds(60));

  /// Starts a job, from `restore` if given, for a test that takes checkpoints, ends it early
  /// (LocalJob::Kill) and starts it again. Errors: of `build`, and of a graph that cannot run.
  [[nodiscard]] absl::StatusOr<std::unique_ptr<LocalJob>> Submit(
      const Build& build, const LocalCheckpoint* restore = nullptr);

 private:
  const MiniClusterOptions options_;
  const std::unique_ptr<internal::TestFolder> folder_;
};

}  // namespace weir
