#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "jobmanager/cluster_information.h"
#include "jobmanager/main_thread_executor.h"
#include "jobmanager/metrics_decoder.h"
#include "jobmanager/task_manager_gateway.h"
#include "runtime/base/ids.h"

namespace weir {

namespace proto {
class CrashReport;
class MetricsReport;
class Register;
class TaskManagerHeartbeat;
}  // namespace proto

/// Names the loss of a TaskManager in the history of failures.
inline constexpr std::string_view kTaskManagerLost = "TaskManagerLost";

/// Hears when a TaskManager is gone, with all that ran on it. Called on the main thread.
class TaskManagerListener {
 public:
  virtual ~TaskManagerListener() = default;
  virtual void OnTaskManagerLost(TaskManagerGateway* task_manager, const absl::Status& reason) = 0;
  /// A TaskManager has come, or slots have become free.
  virtual void OnSlotsChanged() {}
};

struct ResourceManagerOptions {
  absl::Duration heartbeat_interval = absl::Seconds(1);
  absl::Duration heartbeat_timeout = absl::Seconds(5);
  LeaderEpoch leader_epoch;
  /// What TaskManagers must carry, so that job libraries work alike everywhere. Empty: anything.
  std::string abi_stamp;
};

/// Knows the TaskManagers and their slots, and gives slots to jobs.
///
/// A job gets all slots that it asks for at once, or waits until enough are free. A slot comes from
/// the TaskManager that the job prefers, if it has one free; the others are spread evenly: each
/// comes from the TaskManager with the smallest share of its slots in use, so neighbours in the
/// result lie on different TaskManagers where possible. Threads: main thread.
class ResourceManager {
 public:
  using Slots = std::vector<std::shared_ptr<TaskManagerGateway>>;
  using SlotsCallback = std::function<void(absl::StatusOr<Slots>)>;

  /// Both are borrowed.
  ResourceManager(ResourceManagerOptions options, MainThreadExecutor* executor,
                  TaskManagerListener* listener);
  ~ResourceManager();
  ResourceManager(const ResourceManager&) = delete;
  ResourceManager& operator=(const ResourceManager&) = delete;

  /// Takes in a TaskManager, in place of an older one of the same id, or refuses it. One that runs
  /// tasks of this very leader's is dismissed: they were given up when its connection ended.
  /// `held` are the slots that jobs have on it already. Returns whether it was taken in.
  bool Register(std::shared_ptr<TaskManagerGateway> task_manager,
                const proto::Register& registration, const std::map<JobId, uint32_t>& held = {});
  void OnHeartbeat(TaskManagerGateway* task_manager, const proto::TaskManagerHeartbeat& heartbeat);
  /// Takes in a part of its metrics and returns those of jobs.
  [[nodiscard]] std::vector<MetricsDecoder::Scope> OnMetrics(TaskManagerGateway* task_manager,
                                                             const proto::MetricsReport& part);
  /// The processes' own metrics, of the TaskManagers asked for or of all if `ids` is empty.
  [[nodiscard]] std::vector<MetricReport> ProcessMetrics(const std::vector<std::string>& ids) const;
  /// Its process dies: it is lost at once, unless a later one has taken its place.
  void OnCrashed(const proto::CrashReport& report);
  /// Its connection is closed: it is lost at once.
  void OnClosed(TaskManagerGateway* task_manager);
  /// Returns whether messages from this connection count: it is registered and not replaced.
  [[nodiscard]] bool IsRegistered(const TaskManagerGateway* task_manager) const;

  /// Returns whether a TaskManager of that id is registered.
  [[nodiscard]] bool Knows(const std::string& id) const { return task_managers_.contains(id); }

  /// Asks for a slot for each entry of `preferred`: the id of the TaskManager where it should be,
  /// or empty if that is all the same. A job has one request at a time. `done` is called once,
  /// possibly before this returns. Errors: kResourceExhausted after `timeout`.
  void RequestSlots(JobId job_id, std::vector<std::string> preferred, absl::Duration timeout,
                    SlotsCallback done);
  /// Gives back some of the job's slots, each named by its TaskManager, which may be lost.
  void ReleaseSlots(JobId job_id, const Slots& slots);
  /// Makes these the slots that the job holds; some may be null.
  void SetSlots(JobId job_id, const Slots& slots);
  /// Replaces the slots that the job holds, if any, and its request by one for each entry of
  /// `preferred`, ahead of whoever waits. Errors: kResourceExhausted; then nothing has changed.
  [[nodiscard]] absl::StatusOr<Slots> ReplaceSlots(JobId job_id,
                                                   const std::vector<std::string>& preferred);
  /// Returns how many slots ReplaceSlots would give: those of the job and the free ones.
  [[nodiscard]] uint32_t NumAvailableSlots(JobId job_id) const;
  /// Gives back all of the job's slots and forgets its request.
  void ReleaseSlots(JobId job_id);
  /// Forgets the job's request, if there is one.
  void ForgetRequest(JobId job_id);

  /// The TaskManagers' part of the overview.
  [[nodiscard]] ClusterOverview Overview() const;
  [[nodiscard]] std::vector<TaskManagerInfo> TaskManagers() const;
  /// Sends the last word to all TaskManagers and closes their connections.
  void CloseAll();

 private:
  struct Registered;
  struct Request;

  void SendHeartbeats();
  void Lose(const std::string& id, const absl::Status& reason);
  void ServeRequests();
  /// Tells the listener that slots have changed, once, later.
  void AnnounceSlots();
  [[nodiscard]] uint32_t NumFreeSlots() const;
  [[nodiscard]] Slots Allocate(JobId job_id, const std::vector<std::string>& preferred);
  [[nodiscard]] TaskManagerInfo InfoOf(const Registered& registered) const;

  const ResourceManagerOptions options_;
  MainThreadExecutor* const executor_;
  TaskManagerListener* const listener_;
  std::map<std::string, std::unique_ptr<Registered>> task_managers_;
  std::list<std::unique_ptr<Request>> requests_;  // In the order they came.
  TimerId heartbeat_timer_;
  TimerId announcement_;
};

}  // namespace weir
