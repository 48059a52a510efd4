#include "jobmanager/reconciliation.h"

#include <algorithm>
#include <set>

#include "jobmanager/proto_ids.h"
#include "proto/control_plane.pb.h"

namespace weir {
namespace {

DeploymentId FromProto(const proto::DeploymentId& deployment) {
  return {deployment.leader_epoch(), deployment.number()};
}

const JobGraph::Vertex* VertexOf(const JobGraph& graph, OperatorId op) {
  for (const JobGraph::Vertex& vertex : graph.vertices) {
    for (const JobGraph::Operator& candidate : vertex.operators) {
      if (candidate.id == op) return &vertex;
    }
  }
  return nullptr;
}

// Returns the greatest deployment that a report names.
DeploymentId NewestOf(const proto::RunningJob& report) {
  DeploymentId newest;
  for (const proto::RunningTask& task : report.tasks()) {
    newest = std::max(newest, FromProto(task.deployment()));
  }
  return newest;
}

bool IsGoing(ExecutionState state) {
  return state == ExecutionState::kInitializing || state == ExecutionState::kRunning ||
         state == ExecutionState::kFinished;
}

}  // namespace

void Reconciliation::Add(std::shared_ptr<TaskManagerGateway> task_manager,
                         const proto::RunningJob& report) {
  last_checkpoint_ = std::max(last_checkpoint_, CheckpointId(report.last_checkpoint_id()));
  const TaskManagerGateway* const key = task_manager.get();
  reports_[key] = {std::move(task_manager), std::make_shared<const proto::RunningJob>(report)};
  IndexEvents();
}

void Reconciliation::Remove(const TaskManagerGateway* task_manager) {
  if (reports_.erase(task_manager) > 0) IndexEvents();
}

void Reconciliation::IndexEvents() {
  received_.clear();
  sent_.clear();
  const auto add = [this](const std::string& attempt, const auto& reported) {
    for (const proto::EventPosition& position : reported.received()) {
      received_[KeyOf(position)][attempt] = position.count();
    }
    for (const proto::EventPosition& position : reported.sent()) {
      sent_[attempt].push_back(&position);
    }
  };
  for (const auto& [task_manager, report] : reports_) {
    for (const proto::RunningTask& task : report.job->tasks()) add(task.attempt(), task);
    for (const proto::RunningCoordinator& coordinator : report.job->coordinators()) {
      add(coordinator.attempt(), coordinator);
    }
  }
}

Reconciliation::ChannelKey Reconciliation::KeyOf(const proto::EventPosition& position) {
  const proto::EventChannel& channel = position.channel();
  return {channel.kind(), channel.sender_attempt(), channel.operator_id(), channel.subtask()};
}

std::optional<VertexParallelism> Reconciliation::Parallelism(const JobGraph& submitted) const {
  const proto::RunningJob* newest = nullptr;
  for (const auto& [task_manager, report] : reports_) {
    if (report.job->tasks().empty()) continue;
    if (newest == nullptr || NewestOf(*newest) < NewestOf(*report.job)) newest = report.job.get();
  }
  if (newest == nullptr) return std::nullopt;
  VertexParallelism parallelism;
  for (const proto::VertexParallelism& vertex : newest->vertices()) {
    parallelism[IdFromBytes<JobVertexId>(vertex.vertex())] = vertex.parallelism();
  }
  if (parallelism.size() != submitted.vertices.size()) return std::nullopt;
  for (const JobGraph::Vertex& vertex : submitted.vertices) {
    const auto found = parallelism.find(vertex.id);
    if (found == parallelism.end() || found->second == 0 ||
        found->second > vertex.max_parallelism) {
      return std::nullopt;
    }
  }
  return parallelism;
}

std::map<size_t, Reconciliation::Region> Reconciliation::Regions(const JobGraph& graph,
                                                                 const FailoverRegions& regions,
                                                                 uint64_t newest_checkpoint) const {
  std::map<size_t, Region> result;
  for (size_t i = 0; i < regions.num_regions(); ++i) result[i].is_reported = true;
  Gather(graph, regions, &result);
  for (const JobGraph::Vertex& vertex : graph.vertices) {
    for (uint32_t subtask = 0; subtask < vertex.parallelism; ++subtask) {
      Region& region = result.at(regions.RegionOf(vertex.id, subtask));
      if (!region.tasks.contains({vertex.id, subtask})) region.is_reported = false;
    }
    for (const JobGraph::Operator& op : vertex.operators) {
      Region& region = result.at(regions.RegionOf(vertex.id, 0));
      if (op.has_coordinator && !region.coordinators.contains(op.id)) region.is_reported = false;
    }
  }
  for (auto& [number, region] : result) {
    region.is_whole = region.is_reported && CanGoOn(region, newest_checkpoint) &&
                      EventsCanBeSentAgain(graph, region);
  }
  return result;
}

void Reconciliation::Gather(const JobGraph& graph, const FailoverRegions& regions,
                            std::map<size_t, Region>* result) const {
  std::map<size_t, DeploymentId> newest;
  const auto region_of = [&](JobVertexId vertex, uint32_t subtask) -> std::optional<size_t> {
    const JobGraph::Vertex* const known = graph.FindVertex(vertex);
    if (known == nullptr || subtask >= known->parallelism) return std::nullopt;
    return regions.RegionOf(vertex, subtask);
  };
  // Makes room for what is newer than all before; says whether it belongs to the newest.
  const auto is_newest = [&](size_t region, const DeploymentId& deployment) {
    const auto [known, is_first] = newest.emplace(region, deployment);
    if (!is_first && known->second < deployment) {
      known->second = deployment;
      result->at(region).tasks.clear();
      result->at(region).coordinators.clear();
    }
    return known->second == deployment;
  };
  for (const auto& [task_manager, report] : reports_) {
    for (const proto::RunningTask& task : report.job->tasks()) {
      const auto vertex = IdFromBytes<JobVertexId>(task.vertex());
      const std::optional<size_t> region = region_of(vertex, task.subtask());
      const DeploymentId deployment = FromProto(task.deployment());
      if (!region.has_value() || !is_newest(*region, deployment)) continue;
      result->at(*region).tasks[{vertex, task.subtask()}] = {
          .location = report.task_manager,
          .attempt = IdFromBytes<ExecutionAttemptId>(task.attempt()),
          .attempt_number = task.attempt_number(),
          .deployment = deployment,
          .state = ExecutionStateFromWire(task.state()).value_or(ExecutionState::kFailed),
          .restored_checkpoint = task.restored_checkpoint(),
          .input_ended = task.input_ended(),
          .stop_checkpoint = task.stop_checkpoint()};
    }
    for (const proto::RunningCoordinator& coordinator : report.job->coordinators()) {
      const auto op = IdFromBytes<OperatorId>(coordinator.operator_id());
      const JobGraph::Vertex* const vertex = VertexOf(graph, op);
      if (vertex == nullptr) continue;
      const size_t region = regions.RegionOf(vertex->id, 0);
      const DeploymentId deployment = FromProto(coordinator.deployment());
      if (!is_newest(region, deployment)) continue;
      result->at(region).coordinators[op] = {
          report.task_manager, IdFromBytes<ExecutionAttemptId>(coordinator.attempt()), deployment};
    }
  }
}

bool Reconciliation::CanGoOn(const Region& region, uint64_t newest_checkpoint) const {
  return std::all_of(region.tasks.begin(), region.tasks.end(), [&](const auto& entry) {
    const Task& task = entry.second;
    // One that stopped for a savepoint which did not complete has ended its input, perhaps.
    const bool stops_rightly =
        task.stop_checkpoint == 0 || task.stop_checkpoint == newest_checkpoint;
    return IsGoing(task.state) && stops_rightly;
  });
}

bool Reconciliation::EventsCanBeSentAgain(const JobGraph& graph, const Region& region) const {
  const auto can_be_sent = [&](const proto::EventPosition& position) {
    const auto op = IdFromBytes<OperatorId>(position.channel().operator_id());
    if (position.channel().kind() == proto::EventChannel::TO_COORDINATORS) return true;
    ExecutionAttemptId receiver;
    if (position.channel().kind() == proto::EventChannel::TO_COORDINATOR) {
      const auto found = region.coordinators.find(op);
      if (found == region.coordinators.end()) return false;
      receiver = found->second.attempt;
    } else {
      const JobGraph::Vertex* const vertex = VertexOf(graph, op);
      if (vertex == nullptr) return false;
      const auto found = region.tasks.find({vertex->id, position.channel().subtask()});
      if (found == region.tasks.end()) return false;
      if (found->second.state == ExecutionState::kFinished) return true;
      receiver = found->second.attempt;
    }
    return position.num_forgotten() <= NumReceived(KeyOf(position), IdToBytes(receiver));
  };
  const auto all_can = [&](ExecutionAttemptId sender) {
    const auto found = sent_.find(IdToBytes(sender));
    return found == sent_.end() ||
           std::all_of(found->second.begin(), found->second.end(),
                       [&](const proto::EventPosition* sent) { return can_be_sent(*sent); });
  };
  for (const auto& [subtask, task] : region.tasks) {
    if (!all_can(task.attempt)) return false;
  }
  for (const auto& [op, coordinator] : region.coordinators) {
    if (!all_can(coordinator.attempt)) return false;
  }
  return true;
}

uint64_t Reconciliation::NumReceived(const ChannelKey& key, const std::string& receiver) const {
  const auto channel = received_.find(key);
  if (channel == received_.end()) return 0;
  const auto count = channel->second.find(receiver);
  return count == channel->second.end() ? 0 : count->second;
}

std::vector<std::shared_ptr<TaskManagerGateway>> Reconciliation::TaskManagers() const {
  std::vector<std::shared_ptr<TaskManagerGateway>> task_managers;
  for (const auto& [key, report] : reports_) task_managers.push_back(report.task_manager);
  return task_managers;
}

void Reconciliation::WriteReceived(const TaskManagerGateway* task_manager,
                                   proto::AdoptTasks* adopt) const {
  const auto report = reports_.find(task_manager);
  if (report == reports_.end()) return;
  const auto write = [&](const auto& sender) {
    for (const proto::EventPosition& sent : sender.sent()) {
      const auto received = received_.find(KeyOf(sent));
      if (received == received_.end()) continue;  // Nothing has come of it.
      // What goes to several coordinators may come twice, but not be missing.
      uint64_t least = sent.count();
      for (const auto& [receiver, count] : received->second) least = std::min(least, count);
      proto::EventPosition* const out = adopt->add_received();
      *out->mutable_channel() = sent.channel();
      out->set_count(least);
    }
  };
  for (const proto::RunningTask& task : report->second.job->tasks()) write(task);
  for (const proto::RunningCoordinator& one : report->second.job->coordinators()) write(one);
}

uint32_t Reconciliation::NumSlots(const JobGraph& submitted, const proto::RunningJob& report) {
  std::set<std::pair<std::string, uint32_t>> slots;
  for (const proto::RunningTask& task : report.tasks()) {
    const JobGraph::Vertex* const vertex =
        submitted.FindVertex(IdFromBytes<JobVertexId>(task.vertex()));
    if (vertex != nullptr) slots.emplace(vertex->slot_sharing_group, task.subtask());
  }
  return static_cast<uint32_t>(slots.size());
}

}  // namespace weir
