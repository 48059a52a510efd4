#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "jobmanager/execution.h"
#include "jobmanager/failover_regions.h"
#include "jobmanager/rescaling.h"
#include "jobmanager/task_manager_gateway.h"
#include "runtime/base/ids.h"
#include "runtime/graph/job_graph.h"

namespace weir {

namespace proto {
class AdoptTasks;
class EventPosition;
class RunningJob;
class RunningTask;
}  // namespace proto

/// Gathers what TaskManagers report of a job that ran under a leader that is gone, and says which
/// regions of it are whole, so that they can go on.
///
/// A region is whole if all its subtasks and coordinators were reported, of one deployment and the
/// newest that anybody has of it, as running or finished, and what they sent each other by way of
/// the JobManager has arrived or can be sent again. Threads: main thread. Knows no executions of
/// the present leader.
class Reconciliation {
 public:
  /// A task as it was reported.
  struct Task {
    std::shared_ptr<TaskManagerGateway> location;
    ExecutionAttemptId attempt;
    uint32_t attempt_number = 0;
    DeploymentId deployment;
    ExecutionState state = ExecutionState::kRunning;
    uint64_t restored_checkpoint = 0;
    bool input_ended = false;
    uint64_t stop_checkpoint = 0;
  };
  struct Coordinator {
    std::shared_ptr<TaskManagerGateway> location;
    ExecutionAttemptId attempt;
    DeploymentId deployment;
  };
  /// What there is of a region's newest deployment.
  struct Region {
    std::map<std::pair<JobVertexId, uint32_t>, Task> tasks;
    std::map<OperatorId, Coordinator> coordinators;
    /// Nothing is missing, whatever its state.
    bool is_reported = false;
    bool is_whole = false;
  };

  /// Takes in a TaskManager's report, in place of an earlier one.
  void Add(std::shared_ptr<TaskManagerGateway> task_manager, const proto::RunningJob& report);
  /// The TaskManager is lost, with what it reported.
  void Remove(const TaskManagerGateway* task_manager);

  [[nodiscard]] bool empty() const { return reports_.empty(); }
  /// Returns the parallelism of what was deployed last; nothing if nobody has reported anything, or
  /// nothing that fits `submitted`.
  [[nodiscard]] std::optional<VertexParallelism> Parallelism(const JobGraph& submitted) const;
  /// Returns the regions by their number; `graph` has that parallelism, and `newest_checkpoint` is
  /// the newest that has completed.
  [[nodiscard]] std::map<size_t, Region> Regions(const JobGraph& graph,
                                                 const FailoverRegions& regions,
                                                 uint64_t newest_checkpoint) const;
  /// No checkpoint that a task has heard of has a greater id.
  [[nodiscard]] CheckpointId last_checkpoint() const { return last_checkpoint_; }
  /// The TaskManagers that have reported something.
  [[nodiscard]] std::vector<std::shared_ptr<TaskManagerGateway>> TaskManagers() const;
  /// Says to the senders on one TaskManager how far their events have come.
  void WriteReceived(const TaskManagerGateway* task_manager, proto::AdoptTasks* adopt) const;

  /// Returns how many slots of a TaskManager what it reports takes.
  [[nodiscard]] static uint32_t NumSlots(const JobGraph& submitted,
                                         const proto::RunningJob& report);

 private:
  struct ChannelKey {
    int kind = 0;
    std::string sender_attempt;
    std::string operator_id;
    uint32_t subtask = 0;
    friend auto operator<=>(const ChannelKey&, const ChannelKey&) = default;
  };
  struct Report {
    std::shared_ptr<TaskManagerGateway> task_manager;
    std::shared_ptr<const proto::RunningJob> job;
  };

  [[nodiscard]] static ChannelKey KeyOf(const proto::EventPosition& position);
  void IndexEvents();
  void Gather(const JobGraph& graph, const FailoverRegions& regions,
              std::map<size_t, Region>* result) const;
  [[nodiscard]] bool CanGoOn(const Region& region, uint64_t newest_checkpoint) const;
  [[nodiscard]] bool EventsCanBeSentAgain(const JobGraph& graph, const Region& region) const;
  /// How many events of a channel have come to one receiver.
  [[nodiscard]] uint64_t NumReceived(const ChannelKey& key, const std::string& receiver) const;

  std::map<const TaskManagerGateway*, Report> reports_;
  // Of all reports: by channel and receiver, and by sender.
  std::map<ChannelKey, std::map<std::string, uint64_t>> received_;
  std::map<std::string, std::vector<const proto::EventPosition*>> sent_;
  CheckpointId last_checkpoint_;
};

}  // namespace weir
