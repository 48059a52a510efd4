#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "jobmanager/checkpoint/checkpoint_plan.h"
#include "jobmanager/execution.h"
#include "jobmanager/failover_regions.h"
#include "jobmanager/job_details.h"
#include "runtime/base/ids.h"
#include "runtime/graph/job_graph.h"

namespace weir {

/// One subtask: its newest attempt, and a few older ones.
struct ExecutionVertex {
  JobVertexId vertex;
  uint32_t subtask = 0;
  /// Which of the FailoverRegions it is in.
  size_t region = 0;
  std::unique_ptr<Execution> current;
  /// Oldest first, bounded.
  std::deque<SubtaskDetails> former;
};

/// One vertex of the JobGraph with its subtasks.
struct ExecutionJobVertex {
  const JobGraph::Vertex* vertex = nullptr;
  bool is_source = false;
  std::vector<ExecutionVertex> subtasks;
};

/// The coordinator of an operator in one attempt of the job. It runs beside subtask 0.
struct CoordinatorExecution {
  OperatorId operator_id;
  JobVertexId vertex;
  uint32_t parallelism = 1;
  /// That of all subtasks of its vertex.
  size_t region = 0;
  ExecutionAttemptId attempt;
  /// Its newest metrics; no layout before they came.
  MetricReport report;
};

/// The parallel, running form of a JobGraph. Threads: main thread.
class ExecutionGraph {
 public:
  /// `graph` is borrowed.
  ExecutionGraph(const JobGraph* graph, FailoverStrategy strategy);

  /// Gives every subtask and coordinator of `regions` a fresh attempt, in state CREATED.
  void NewAttempts(const std::set<size_t>& regions, absl::Time now);

  /// Takes an attempt of an earlier leader in place of the newest one, which was never deployed.
  /// `state` is one of those from DEPLOYING on.
  void Adopt(ExecutionVertex* vertex, ExecutionAttemptId attempt, uint32_t attempt_number,
             ExecutionState state, std::shared_ptr<TaskManagerGateway> location, absl::Time now);
  void AdoptCoordinator(OperatorId op, ExecutionAttemptId attempt);

  /// Takes on the parallelism of `graph`, which is borrowed and else the one it has. Subtasks that
  /// stay keep their attempts, none of which may have been deployed; new ones get their first.
  void Rescale(const JobGraph* graph, absl::Time now);

  /// Returns the newest attempts of all subtasks and coordinators.
  [[nodiscard]] std::vector<ExecutionAttemptId> Attempts() const;
  /// Returns those of `regions`.
  [[nodiscard]] std::vector<ExecutionAttemptId> AttemptsOf(const std::set<size_t>& regions) const;
  /// Returns the numbers of all regions.
  [[nodiscard]] std::set<size_t> AllRegions() const;

  /// Returns null if `attempt` is not the newest of a subtask: stale, or of another job.
  [[nodiscard]] ExecutionVertex* Find(ExecutionAttemptId attempt);
  [[nodiscard]] const CoordinatorExecution* FindCoordinator(ExecutionAttemptId attempt) const;
  [[nodiscard]] const CoordinatorExecution* FindCoordinator(OperatorId op) const;
  /// Returns the vertex that holds an operator, or null.
  [[nodiscard]] ExecutionJobVertex* FindVertexOf(OperatorId op);
  [[nodiscard]] ExecutionJobVertex* FindVertex(JobVertexId id);

  /// Visits the newest attempt of every subtask, in the graph's order.
  void ForEach(const std::function<void(ExecutionVertex&)>& visit);
  /// Visits those of `regions` only.
  void ForEachIn(const std::set<size_t>& regions,
                 const std::function<void(ExecutionVertex&)>& visit);
  [[nodiscard]] bool All(const std::function<bool(ExecutionState)>& condition) const;
  [[nodiscard]] ExecutionStateCounts CountStates() const;

  /// Returns how many slots the job needs: the most subtasks of any vertex, summed over the slot
  /// sharing groups.
  [[nodiscard]] uint32_t num_slots() const { return num_slots_; }
  /// Returns which of them a subtask runs in: subtasks of one index and group share a slot.
  [[nodiscard]] uint32_t SlotOf(const ExecutionVertex& vertex) const;
  /// Returns e.g. "Source: gen (1/2) - execution #0".
  [[nodiscard]] std::string TaskNameOf(const ExecutionVertex& vertex) const;
  [[nodiscard]] CheckpointPlan MakeCheckpointPlan() const;

  [[nodiscard]] std::vector<VertexDetails> Details() const;
  [[nodiscard]] JobPlan MakePlan() const;

  [[nodiscard]] FailoverStrategy strategy() const { return strategy_; }
  [[nodiscard]] const FailoverRegions& regions() const { return regions_; }
  [[nodiscard]] const JobGraph& graph() const { return *graph_; }
  [[nodiscard]] std::vector<ExecutionJobVertex>& vertices() { return vertices_; }
  [[nodiscard]] const std::vector<CoordinatorExecution>& coordinators() const {
    return coordinators_;
  }
  /// Gives a subtask or a coordinator its newest metrics; nothing if the attempt is stale.
  void UpdateReport(ExecutionAttemptId attempt, MetricReport report);

 private:
  void AddVertices();
  void NumberSlots();

  const FailoverStrategy strategy_;
  const JobGraph* graph_;
  FailoverRegions regions_;
  std::vector<ExecutionJobVertex> vertices_;
  std::vector<CoordinatorExecution> coordinators_;
  absl::flat_hash_map<ExecutionAttemptId, ExecutionVertex*> by_attempt_;
  std::map<std::string, uint32_t> first_slot_of_group_;
  uint32_t num_slots_ = 0;
};

}  // namespace weir
