#include "jobmanager/deployment.h"

#include "jobmanager/proto_ids.h"

namespace weir {
namespace {

void FillInformation(const JobDescription& job, proto::JobInformation* out) {
  out->set_job_id(IdToBytes(job.id));
  out->set_job_name(job.graph->job_name);
  out->set_library_hash(job.library_hash);
  out->set_entry(job.entry);
  for (const std::string& argument : job.arguments) out->add_arguments(argument);
  out->set_files_hash(job.files_hash);
  out->set_job_graph(SerializeJobGraph(*job.graph));
  for (const auto& [key, value] : job.settings.ToMap()) (*out->mutable_settings())[key] = value;
  out->set_checkpoint_dir(job.checkpoint_dir);
}

void AddChannel(const ExecutionVertex& producer, uint32_t edge, uint32_t subpartition,
                proto::InputGateDeployment* gate) {
  const TaskManagerGateway* const location = producer.current->location();
  proto::ChannelDeployment* const channel = gate->add_channels();
  channel->set_producer_attempt(IdToBytes(producer.current->id()));
  channel->set_edge(edge);
  channel->set_subpartition(subpartition);
  channel->set_task_manager_id(location->id());
  channel->set_host(location->host());
  channel->set_data_port(location->data_port());
}

void FillTask(const StateAssignment& state, const ExecutionJobVertex& vertex,
              const ExecutionVertex& subtask, ExecutionGraph* executions,
              proto::TaskDeployment* out) {
  out->set_attempt(IdToBytes(subtask.current->id()));
  out->set_vertex(IdToBytes(vertex.vertex->id));
  out->set_subtask(subtask.subtask);
  out->set_attempt_number(subtask.current->attempt_number());
  out->set_restored_checkpoint(state.checkpoint_id());
  const std::vector<JobGraph::Edge>& edges = executions->graph().edges;
  for (uint32_t i = 0; i < edges.size(); ++i) {
    const JobGraph::Edge& edge = edges[i];
    const ExecutionJobVertex& source = *executions->FindVertex(edge.source_vertex);
    const ExecutionJobVertex& target = *executions->FindVertex(edge.target_vertex);
    const uint32_t num_producers = source.vertex->parallelism;
    const uint32_t num_consumers = target.vertex->parallelism;
    const auto consumers_of = [&](uint32_t producer) {
      return ConsumersOf(edge.strategy, producer, num_producers, num_consumers);
    };
    if (edge.target_vertex == vertex.vertex->id) {
      proto::InputGateDeployment* const gate = out->add_gates();
      gate->set_edge(i);
      const SubtaskRange producers =
          ProducersOf(edge.strategy, subtask.subtask, num_producers, num_consumers);
      for (uint32_t producer = producers.begin; producer < producers.end; ++producer) {
        AddChannel(source.subtasks[producer], i, subtask.subtask - consumers_of(producer).begin,
                   gate);
      }
    }
    if (edge.source_vertex == vertex.vertex->id) {
      proto::OutputDeployment* const output = out->add_outputs();
      output->set_edge(i);
      output->set_num_subpartitions(consumers_of(subtask.subtask).size());
    }
  }
  for (const JobGraph::Operator& op : vertex.vertex->operators) {
    const std::vector<std::string>& states = state.StatesOf(op.id, subtask.subtask);
    if (states.empty()) continue;
    proto::OperatorRestore* const restore = out->add_restore();
    restore->set_operator_id(IdToBytes(op.id));
    for (const std::string& bytes : states) restore->add_states(bytes);
  }
}

}  // namespace

std::map<TaskManagerGateway*, proto::JobManagerMessage> MakeDeployments(
    const JobDescription& job, const StateAssignment& state, DeploymentId deployment,
    const std::set<size_t>& regions, ExecutionGraph* executions) {
  std::map<TaskManagerGateway*, proto::JobManagerMessage> messages;
  const auto message_for = [&](TaskManagerGateway* location) {
    const auto [entry, is_new] = messages.try_emplace(location);
    proto::DeployTasks* const deploy = entry->second.mutable_deploy();
    if (is_new) {
      deploy->set_leader_epoch(deployment.leader_epoch);
      deploy->set_deployment_number(deployment.number);
      FillInformation(job, deploy->mutable_job());
    }
    return deploy;
  };
  for (const ExecutionJobVertex& vertex : executions->vertices()) {
    for (const ExecutionVertex& subtask : vertex.subtasks) {
      if (!regions.contains(subtask.region)) continue;
      FillTask(state, vertex, subtask, executions,
               message_for(subtask.current->location())->add_tasks());
    }
  }
  for (const CoordinatorExecution& coordinator : executions->coordinators()) {
    if (!regions.contains(coordinator.region)) continue;
    const ExecutionVertex& first = executions->FindVertex(coordinator.vertex)->subtasks.front();
    proto::CoordinatorDeployment* const out =
        message_for(first.current->location())->add_coordinators();
    out->set_operator_id(IdToBytes(coordinator.operator_id));
    out->set_attempt(IdToBytes(coordinator.attempt));
    out->set_parallelism(coordinator.parallelism);
    const std::string* const restored = state.CoordinatorStateOf(coordinator.operator_id);
    out->set_has_state(restored != nullptr);
    if (restored != nullptr) out->set_state(*restored);
  }
  return messages;
}

}  // namespace weir
