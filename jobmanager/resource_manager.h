#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <set>
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
#include "runtime/base/failure.h"
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

/// Who is to blame for a process that ended so (a CrashReport's `signal`).
[[nodiscard]] FailureOrigin OriginOfEnd(std::string_view signal);

/// Hears when a TaskManager, or the process of a job on one, is gone, with all that ran in it.
/// Called on the main thread.
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
  /// How long a TaskManager has, once the connection to a job's process is closed, to say how that
  /// ended.
  absl::Duration process_end_timeout = absl::Milliseconds(100);
};

/// The slots that a job asks for.
struct SlotRequest {
  JobId job;
  /// One for each slot: the id of the TaskManager where it should be, or empty if that is all the
  /// same.
  std::vector<std::string> preferred;
  /// Whether TaskManagers that can are to run the job in processes of its own.
  bool isolated = false;
};

/// Knows the TaskManagers and their slots, and gives slots to jobs.
///
/// A job gets all slots that it asks for at once, or waits until enough are free. A slot comes from
/// the TaskManager that the job prefers, if it has one free; the others are spread evenly: each
/// comes from the TaskManager with the smallest share of its slots in use, so neighbours in the
/// result lie on different TaskManagers where possible.
///
/// An isolated job's slots lie in processes of its own, at most one on each TaskManager: the
/// TaskManager starts it, it registers here as a TaskManager does, and the job gets its gateway.
/// The slots stay the TaskManager's. It is lost with its TaskManager, or alone; then the
/// TaskManager has those slots free again. It ends when the job has no slot there any more.
/// Threads: main thread.
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

  /// Takes in a TaskManager, in place of an older one of the same id, or the process of a job that
  /// one was asked for; or refuses it. One that runs tasks of this very leader's is dismissed: they
  /// were given up when its connection ended. `held` are the slots that jobs have on it already; a
  /// process that an earlier leader asked for is taken in, too, if its job holds some. Returns
  /// whether it was taken in.
  bool Register(std::shared_ptr<TaskManagerGateway> task_manager,
                const proto::Register& registration, const std::map<JobId, uint32_t>& held = {});
  void OnHeartbeat(TaskManagerGateway* task_manager, const proto::TaskManagerHeartbeat& heartbeat);
  /// Takes in a part of its metrics and returns those of jobs.
  [[nodiscard]] std::vector<MetricsDecoder::Scope> OnMetrics(TaskManagerGateway* task_manager,
                                                             const proto::MetricsReport& part);
  /// The processes' own metrics, of the TaskManagers asked for or of all if `ids` is empty.
  [[nodiscard]] std::vector<MetricReport> ProcessMetrics(const std::vector<std::string>& ids) const;
  /// Its process dies, or could not be started: it is lost at once, unless a later one has taken
  /// its place.
  void OnCrashed(const proto::CrashReport& report);
  /// Its connection is closed: it is lost at once.
  void OnClosed(TaskManagerGateway* task_manager);
  /// Returns whether messages from this connection count: it is registered and not replaced.
  [[nodiscard]] bool IsRegistered(const TaskManagerGateway* task_manager) const;

  /// Returns whether a TaskManager of that id is registered, or the process of a job is one of
  /// this leader's.
  [[nodiscard]] bool Knows(const std::string& id) const {
    return task_managers_.contains(id) || processes_.contains(id);
  }
  /// Ends the processes of jobs that TaskManagers have from an earlier leader and that have not
  /// been taken in: they will not be any more.
  void EndUnclaimedProcesses();

  /// Asks for slots. A job has one request at a time. `done` is called once, possibly before this
  /// returns. Errors: kResourceExhausted after `timeout`; kUnavailable if a process of the job
  /// could not be started.
  void RequestSlots(SlotRequest request, absl::Duration timeout, SlotsCallback done);
  /// Gives back some of the job's slots, each named by its TaskManager, which may be lost.
  void ReleaseSlots(JobId job_id, const Slots& slots);
  /// Makes these the slots that the job holds; some may be null.
  void SetSlots(JobId job_id, const Slots& slots);
  /// Replaces the slots that the job holds, if any, and its request by those that `request` asks
  /// for, ahead of whoever waits; `done` as for RequestSlots. Errors: kResourceExhausted; then
  /// nothing has changed and `done` is not called.
  [[nodiscard]] absl::Status ReplaceSlots(SlotRequest request, absl::Duration timeout,
                                          SlotsCallback done);
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
  struct JobProcess;
  struct Request;

  // The registered one of this gateway; null if it is none, or none any more.
  [[nodiscard]] Registered* Find(const TaskManagerGateway* task_manager) const;
  [[nodiscard]] std::string ReasonToRefuse(const TaskManagerGateway& task_manager,
                                           const proto::Register& registration,
                                           const std::map<JobId, uint32_t>& held) const;
  /// Whether it is a process that an earlier leader asked for, and that is wanted still.
  [[nodiscard]] bool CanAdopt(const std::string& id, const proto::Register& registration,
                              const std::map<JobId, uint32_t>& held) const;
  void AdoptProcess(const std::string& id, const proto::Register& registration,
                    const std::map<JobId, uint32_t>& held);
  void Accept(std::shared_ptr<TaskManagerGateway> task_manager, const proto::Register& registration,
              Registered* registered);
  void SendHeartbeats();
  void SendHeartbeatTo(const std::string& id, const Registered& registered,
                       std::set<std::string>* silent);
  void Lose(const std::string& id, const absl::Status& reason);
  void LoseProcess(const std::string& id, const absl::Status& reason);
  void AddRequest(std::unique_ptr<Request> request, absl::Duration timeout);
  void OnTimeout(const Request* request, absl::Duration timeout);
  void ServeRequests();
  /// Gives `request`, which waits in no list, slots that are free.
  void Grant(std::unique_ptr<Request> request);
  /// Answers requests whose processes have all registered.
  void AnswerStarted();
  /// Takes back what the request was granted.
  void TakeBack(const Request& request);
  /// Lets the job's request that waits for its processes, if it has slots of `owner`, wait for
  /// slots again, or fail.
  void RestartRequest(JobId job_id, const Registered* owner, const absl::Status& failure);
  void RunProcess(JobId job_id, Registered* owner);
  /// Ends processes without slots, and tells TaskManagers of changed numbers of slots, once, later:
  /// what a job gives back it often asks for at once.
  void AnnounceProcesses();
  void UpdateProcesses();
  /// Tells the listener that slots have changed, once, later.
  void AnnounceSlots();
  [[nodiscard]] uint32_t NumFreeSlots() const;
  /// Returns the TaskManagers of the slots.
  [[nodiscard]] std::vector<Registered*> Allocate(JobId job_id,
                                                  const std::vector<std::string>& preferred);
  [[nodiscard]] TaskManagerInfo InfoOf(const Registered& registered) const;

  const ResourceManagerOptions options_;
  MainThreadExecutor* const executor_;
  TaskManagerListener* const listener_;
  std::map<std::string, std::unique_ptr<Registered>> task_managers_;
  std::map<std::string, std::unique_ptr<JobProcess>> processes_;  // Registered or being started.
  std::list<std::unique_ptr<Request>> requests_;  // That wait for slots, in the order they came.
  std::list<std::unique_ptr<Request>> starting_;  // That have slots and wait for processes.
  TimerId heartbeat_timer_;
  TimerId announcement_;
  TimerId process_update_;
};

}  // namespace weir
