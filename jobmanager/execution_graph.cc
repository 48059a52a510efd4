#include "jobmanager/execution_graph.h"

#include <algorithm>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/strings.h"
#include "xxhash.h"

namespace weir {
namespace {

constexpr size_t kMaxFormerAttempts = 16;

bool HasInput(const JobGraph& graph, JobVertexId vertex) {
  return std::any_of(graph.edges.begin(), graph.edges.end(),
                     [vertex](const JobGraph::Edge& edge) { return edge.target_vertex == vertex; });
}

SlotSharingGroupId SlotSharingGroupIdOf(std::string_view name) {
  const XXH128_hash_t hash = XXH3_128bits(name.data(), name.size());
  return {hash.high64, hash.low64};
}

}  // namespace

ExecutionGraph::ExecutionGraph(const JobGraph* graph, FailoverStrategy strategy)
    : strategy_(strategy), graph_(graph), regions_(*graph, strategy) {
  AddVertices();
  NumberSlots();
}

void ExecutionGraph::AddVertices() {
  for (const JobGraph::Vertex& vertex : graph_->vertices) {
    ExecutionJobVertex& job_vertex = vertices_.emplace_back();
    job_vertex.vertex = &vertex;
    job_vertex.is_source = !HasInput(*graph_, vertex.id);
    job_vertex.subtasks.resize(vertex.parallelism);
    for (uint32_t i = 0; i < vertex.parallelism; ++i) {
      job_vertex.subtasks[i].vertex = vertex.id;
      job_vertex.subtasks[i].subtask = i;
      job_vertex.subtasks[i].region = regions_.RegionOf(vertex.id, i);
    }
    for (const JobGraph::Operator& op : vertex.operators) {
      if (!op.has_coordinator) continue;
      coordinators_.push_back(
          {op.id, vertex.id, vertex.parallelism, regions_.RegionOf(vertex.id, 0), {}, {}});
    }
  }
}

void ExecutionGraph::NumberSlots() {
  first_slot_of_group_.clear();
  num_slots_ = 0;
  std::map<std::string, uint32_t> num_slots_of_group;
  for (const JobGraph::Vertex& vertex : graph_->vertices) {
    uint32_t& most = num_slots_of_group[vertex.slot_sharing_group];
    most = std::max(most, vertex.parallelism);
  }
  for (const auto& [group, count] : num_slots_of_group) {
    first_slot_of_group_[group] = num_slots_;
    num_slots_ += count;
  }
}

void ExecutionGraph::NewAttempts(const std::set<size_t>& regions, absl::Time now) {
  ForEachIn(regions, [&](ExecutionVertex& vertex) {
    uint32_t number = 0;
    if (vertex.current != nullptr) {
      number = vertex.current->attempt_number() + 1;
      by_attempt_.erase(vertex.current->id());
      vertex.former.push_back(vertex.current->Details());
      vertex.former.back().index = vertex.subtask;
      if (vertex.former.size() > kMaxFormerAttempts) vertex.former.pop_front();
    }
    vertex.current = std::make_unique<Execution>(RandomId<ExecutionAttemptId>(), number, now);
    by_attempt_.emplace(vertex.current->id(), &vertex);
  });
  for (CoordinatorExecution& coordinator : coordinators_) {
    if (!regions.contains(coordinator.region)) continue;
    coordinator.attempt = RandomId<ExecutionAttemptId>();
    coordinator.report = {};
  }
}

void ExecutionGraph::Adopt(ExecutionVertex* vertex, ExecutionAttemptId attempt,
                           uint32_t attempt_number, ExecutionState state,
                           std::shared_ptr<TaskManagerGateway> location, absl::Time now) {
  by_attempt_.erase(vertex->current->id());
  vertex->current = std::make_unique<Execution>(attempt, attempt_number, now);
  vertex->current->Assign(std::move(location));
  by_attempt_.emplace(attempt, vertex);
  CHECK(vertex->current->Transition(ExecutionState::kScheduled, now).ok());
  CHECK(vertex->current->Transition(ExecutionState::kDeploying, now).ok());
  if (state == ExecutionState::kDeploying) return;
  CHECK(vertex->current->Transition(state, now).ok()) << ExecutionStateName(state);
}

void ExecutionGraph::AdoptCoordinator(OperatorId op, ExecutionAttemptId attempt) {
  for (CoordinatorExecution& coordinator : coordinators_) {
    if (coordinator.operator_id == op) coordinator.attempt = attempt;
  }
}

void ExecutionGraph::Rescale(const JobGraph* graph, absl::Time now) {
  std::vector<ExecutionJobVertex> before = std::exchange(vertices_, {});
  const std::vector<CoordinatorExecution> coordinators_before = std::exchange(coordinators_, {});
  graph_ = graph;
  regions_ = FailoverRegions(*graph, strategy_);
  AddVertices();
  NumberSlots();
  for (ExecutionJobVertex& old : before) {
    ExecutionJobVertex& vertex = *FindVertex(old.subtasks.front().vertex);
    const size_t num_kept = std::min(old.subtasks.size(), vertex.subtasks.size());
    for (size_t i = 0; i < num_kept; ++i) {
      old.subtasks[i].region = vertex.subtasks[i].region;
      vertex.subtasks[i] = std::move(old.subtasks[i]);
    }
  }
  for (CoordinatorExecution& coordinator : coordinators_) {
    for (const CoordinatorExecution& old : coordinators_before) {
      if (old.operator_id == coordinator.operator_id) coordinator.attempt = old.attempt;
    }
  }
  by_attempt_.clear();
  ForEach([&](ExecutionVertex& vertex) {
    if (vertex.current == nullptr) {
      vertex.current = std::make_unique<Execution>(RandomId<ExecutionAttemptId>(), 0, now);
    }
    by_attempt_.emplace(vertex.current->id(), &vertex);
  });
}

std::vector<ExecutionAttemptId> ExecutionGraph::Attempts() const {
  return AttemptsOf(AllRegions());
}

std::vector<ExecutionAttemptId> ExecutionGraph::AttemptsOf(const std::set<size_t>& regions) const {
  std::vector<ExecutionAttemptId> attempts;
  for (const auto& [attempt, vertex] : by_attempt_) {
    if (regions.contains(vertex->region)) attempts.push_back(attempt);
  }
  if (attempts.empty()) return attempts;  // None has begun, so neither have the coordinators'.
  for (const CoordinatorExecution& coordinator : coordinators_) {
    if (regions.contains(coordinator.region)) attempts.push_back(coordinator.attempt);
  }
  return attempts;
}

std::set<size_t> ExecutionGraph::AllRegions() const {
  std::set<size_t> all;
  for (size_t i = 0; i < regions_.num_regions(); ++i) all.insert(all.end(), i);
  return all;
}

ExecutionVertex* ExecutionGraph::Find(ExecutionAttemptId attempt) {
  const auto found = by_attempt_.find(attempt);
  return found == by_attempt_.end() ? nullptr : found->second;
}

const CoordinatorExecution* ExecutionGraph::FindCoordinator(ExecutionAttemptId attempt) const {
  for (const CoordinatorExecution& coordinator : coordinators_) {
    if (coordinator.attempt == attempt) return &coordinator;
  }
  return nullptr;
}

const CoordinatorExecution* ExecutionGraph::FindCoordinator(OperatorId op) const {
  for (const CoordinatorExecution& coordinator : coordinators_) {
    if (coordinator.operator_id == op) return &coordinator;
  }
  return nullptr;
}

ExecutionJobVertex* ExecutionGraph::FindVertexOf(OperatorId op) {
  for (ExecutionJobVertex& vertex : vertices_) {
    for (const JobGraph::Operator& candidate : vertex.vertex->operators) {
      if (candidate.id == op) return &vertex;
    }
  }
  return nullptr;
}

ExecutionJobVertex* ExecutionGraph::FindVertex(JobVertexId id) {
  for (ExecutionJobVertex& vertex : vertices_) {
    if (vertex.vertex->id == id) return &vertex;
  }
  return nullptr;
}

void ExecutionGraph::ForEach(const std::function<void(ExecutionVertex&)>& visit) {
  for (ExecutionJobVertex& vertex : vertices_) {
    for (ExecutionVertex& subtask : vertex.subtasks) visit(subtask);
  }
}

void ExecutionGraph::ForEachIn(const std::set<size_t>& regions,
                               const std::function<void(ExecutionVertex&)>& visit) {
  ForEach([&](ExecutionVertex& vertex) {
    if (regions.contains(vertex.region)) visit(vertex);
  });
}

bool ExecutionGraph::All(const std::function<bool(ExecutionState)>& condition) const {
  for (const ExecutionJobVertex& vertex : vertices_) {
    for (const ExecutionVertex& subtask : vertex.subtasks) {
      if (subtask.current != nullptr && !condition(subtask.current->state())) return false;
    }
  }
  return true;
}

ExecutionStateCounts ExecutionGraph::CountStates() const {
  ExecutionStateCounts counts;
  for (const ExecutionJobVertex& vertex : vertices_) {
    for (const ExecutionVertex& subtask : vertex.subtasks) {
      ++counts[subtask.current == nullptr ? ExecutionState::kCreated : subtask.current->state()];
    }
  }
  return counts;
}

uint32_t ExecutionGraph::SlotOf(const ExecutionVertex& vertex) const {
  return first_slot_of_group_.at(graph_->FindVertex(vertex.vertex)->slot_sharing_group) +
         vertex.subtask;
}

std::string ExecutionGraph::TaskNameOf(const ExecutionVertex& vertex) const {
  const JobGraph::Vertex* const job_vertex = graph_->FindVertex(vertex.vertex);
  return StrCat(job_vertex->name, " (", vertex.subtask + 1, "/", job_vertex->parallelism,
                ") - execution #", vertex.current->attempt_number());
}

CheckpointPlan ExecutionGraph::MakeCheckpointPlan() const {
  CheckpointPlan plan;
  for (const ExecutionJobVertex& vertex : vertices_) {
    for (const ExecutionVertex& subtask : vertex.subtasks) {
      plan.tasks.push_back(
          {subtask.current->id(), vertex.vertex->id, subtask.subtask, vertex.is_source});
    }
  }
  for (const CoordinatorExecution& coordinator : coordinators_) {
    plan.coordinators.push_back({coordinator.attempt, coordinator.operator_id});
  }
  return plan;
}

std::vector<VertexDetails> ExecutionGraph::Details() const {
  std::vector<VertexDetails> details;
  for (const ExecutionJobVertex& vertex : vertices_) {
    VertexDetails& out = details.emplace_back();
    out.id = vertex.vertex->id;
    out.name = vertex.vertex->name;
    out.parallelism = vertex.vertex->parallelism;
    out.max_parallelism = vertex.vertex->max_parallelism;
    out.slot_sharing_group = SlotSharingGroupIdOf(vertex.vertex->slot_sharing_group);
    for (const ExecutionVertex& subtask : vertex.subtasks) {
      out.subtasks.push_back(subtask.current == nullptr ? SubtaskDetails()
                                                        : subtask.current->Details());
      out.subtasks.back().index = subtask.subtask;
    }
  }
  return details;
}

JobPlan ExecutionGraph::MakePlan() const {
  JobPlan plan;
  for (const JobGraph::Vertex& vertex : graph_->vertices) {
    PlanNode& node = plan.nodes.emplace_back();
    node.id = vertex.id;
    node.parallelism = vertex.parallelism;
    for (const JobGraph::Operator& op : vertex.operators) {
      StrAppend(&node.description, node.description.empty() ? "" : "\n", op.name);
    }
    uint32_t num = 0;
    for (const JobGraph::Edge& edge : graph_->edges) {
      if (edge.target_vertex != vertex.id) continue;
      PlanInput& input = node.inputs.emplace_back();
      input.source = edge.source_vertex;
      input.num = num++;
      input.ship_strategy = std::string(ToString(edge.strategy));
    }
  }
  return plan;
}

void ExecutionGraph::UpdateReport(ExecutionAttemptId attempt, MetricReport report) {
  if (ExecutionVertex* const vertex = Find(attempt)) {
    vertex->current->UpdateReport(std::move(report));
    return;
  }
  for (CoordinatorExecution& coordinator : coordinators_) {
    if (coordinator.attempt == attempt) coordinator.report = std::move(report);
  }
}

}  // namespace weir
