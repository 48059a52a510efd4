#include "taskmanager/task_preparation.h"

#include <optional>
#include <utility>

#include "proto/control_plane.pb.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/record/byte_io.h"
#include "runtime/record/serde.h"
#include "runtime/state/operator_subtask_state.h"
#include "taskmanager/wire_ids.h"

namespace weir {
namespace {

absl::Status DoesNotFit(std::string_view what, const proto::TaskDeployment& deployment) {
  return absl::InvalidArgumentError(StrCat(
      "a task's deployment does not fit its job: ", what, ": vertex=",
      ToString(FromWireId<JobVertexId>(deployment.vertex())), " subtask=", deployment.subtask()));
}

// Of edges with the same ends, how many there are before the JobGraph's edge `index`.
uint32_t OrdinalOf(const JobGraph& graph, uint32_t index) {
  uint32_t ordinal = 0;
  for (uint32_t i = 0; i < index; ++i) {
    ordinal += graph.edges[i].SameEnds(graph.edges[index]) ? 1 : 0;
  }
  return ordinal;
}

// Returns the edge of the StreamGraph that the JobGraph's edge `index` was made of. Several may
// have the same ends (a stream united with itself); both graphs have them in the same order.
const StreamEdge* FindStreamEdge(const PreparedJob& plan, uint32_t index) {
  const JobGraph::Edge& edge = plan.job_graph.edges[index];
  uint32_t equals_before = OrdinalOf(plan.job_graph, index);
  const JobGraph::Vertex* const target = plan.job_graph.FindVertex(edge.target_vertex);
  if (target == nullptr || target->operators.empty()) return nullptr;
  const std::optional<StreamNodeIndex> source_node = plan.graph->FindNode(edge.source_operator);
  const std::optional<StreamNodeIndex> target_node =
      plan.graph->FindNode(target->operators.front().id);
  if (!source_node.has_value() || !target_node.has_value()) return nullptr;
  for (const StreamEdge& candidate : plan.graph->edges()) {
    if (candidate.source != *source_node || candidate.source_port != edge.source_port ||
        candidate.target != *target_node || candidate.target_input != edge.target_input) {
      continue;
    }
    if (equals_before == 0) return &candidate;
    --equals_before;
  }
  return nullptr;
}

absl::StatusOr<std::vector<OperatorSubtaskState>> ReadStates(
    const proto::TaskDeployment& deployment, OperatorId operator_id) {
  std::vector<OperatorSubtaskState> states;
  for (const proto::OperatorRestore& restore : deployment.restore()) {
    if (FromWireId<OperatorId>(restore.operator_id()) != operator_id) continue;
    for (const std::string& bytes : restore.states()) {
      ByteReader reader(bytes);
      if (!Serde<OperatorSubtaskState>::Read(reader, states.emplace_back()) ||
          reader.remaining() != 0) {
        return absl::DataLossError(
            StrCat("the state of an operator cannot be read: operator=", ToString(operator_id),
                   " checkpoint=", deployment.restored_checkpoint()));
      }
    }
  }
  return states;
}

absl::Status AddOperators(const proto::TaskDeployment& deployment, const PreparedJob& plan,
                          const JobGraph::Vertex& vertex, TaskDescription* description) {
  for (const JobGraph::Operator& op : vertex.operators) {
    const std::optional<StreamNodeIndex> node = plan.graph->FindNode(op.id);
    if (!node.has_value())
      return DoesNotFit(StrCat("the library has no operator with uid ", op.uid), deployment);
    ASSIGN_OR_RETURN(std::vector<OperatorSubtaskState> restored, ReadStates(deployment, op.id));
    description->operators.push_back({*node, std::move(restored)});
  }
  return absl::OkStatus();
}

absl::Status AddGates(const proto::TaskDeployment& deployment, const PreparedJob& plan,
                      const ChannelSources& sources, PreparedTask* task) {
  for (const proto::InputGateDeployment& gate : deployment.gates()) {
    const StreamEdge* const edge =
        gate.edge() < plan.job_graph.edges.size() ? FindStreamEdge(plan, gate.edge()) : nullptr;
    if (edge == nullptr || edge->source_port >= plan.graph->nodes()[edge->source].outputs.size()) {
      return DoesNotFit(StrCat("the job has no edge ", gate.edge(), " into it"), deployment);
    }
    const BatchType* const type =
        plan.graph->nodes()[edge->source].outputs[edge->source_port].type.get();
    TaskDescription::Gate& added = task->description.gates.emplace_back();
    added.input = edge->target_input;
    const JobGraph::Edge& job_edge = plan.job_graph.edges[gate.edge()];
    const JobGraph::Vertex& target = *plan.job_graph.FindVertex(job_edge.target_vertex);
    const JobGraph::Vertex* const source = plan.job_graph.FindVertex(job_edge.source_vertex);
    if (source == nullptr)
      return DoesNotFit(StrCat("no vertex is at the start of edge ", gate.edge()), deployment);
    ChannelEdge& channel_edge = added.edge.emplace();
    channel_edge.source = job_edge.source_operator;
    channel_edge.source_port = edge->source_port;
    channel_edge.target_input = edge->target_input;
    channel_edge.ordinal = OrdinalOf(plan.job_graph, gate.edge());
    channel_edge.num_producers = source->parallelism;
    channel_edge.partitioning = edge->partitioning;
    channel_edge.partitioning.strategy = job_edge.strategy;
    channel_edge.type = plan.graph->nodes()[edge->source].outputs[edge->source_port].type;
    added.first_producer = ProducersOf(job_edge.strategy, deployment.subtask(), source->parallelism,
                                       target.parallelism)
                               .begin;
    for (const proto::ChannelDeployment& channel : gate.channels()) {
      const ChannelKey key{FromWireId<ExecutionAttemptId>(channel.producer_attempt()),
                           channel.edge(), channel.subpartition()};
      if (channel.task_manager_id() == sources.task_manager_id) {
        added.channels.push_back(sources.registry->GetOrCreate(key));
        added.remote.push_back(false);
        task->local_producers.push_back(key.producer);
        continue;
      }
      auto queue = std::make_shared<ChannelQueue>(sources.channel_bytes, sources.memory_budget);
      task->remote_channels.push_back(sources.data_client->Connect(
          channel.host(), static_cast<uint16_t>(channel.data_port()), key, queue, type));
      added.channels.push_back(std::move(queue));
      added.remote.push_back(true);
    }
  }
  return absl::OkStatus();
}

absl::Status AddOutputs(const proto::TaskDeployment& deployment, const PreparedJob& plan,
                        const ChannelSources& sources, TaskDescription* description) {
  for (const proto::OutputDeployment& output : deployment.outputs()) {
    const StreamEdge* const edge =
        output.edge() < plan.job_graph.edges.size() ? FindStreamEdge(plan, output.edge()) : nullptr;
    if (edge == nullptr)
      return DoesNotFit(StrCat("the job has no edge ", output.edge(), " out of it"), deployment);
    const JobGraph::Edge& job_edge = plan.job_graph.edges[output.edge()];
    TaskDescription::OutputEdge& added = description->outputs.emplace_back();
    added.source = edge->source;
    added.source_port = edge->source_port;
    added.partitioning = edge->partitioning;
    // Forward becomes rebalance between different parallelisms.
    added.partitioning.strategy = job_edge.strategy;
    added.target_max_parallelism =
        plan.job_graph.FindVertex(job_edge.target_vertex)->max_parallelism;
    for (uint32_t i = 0; i < output.num_subpartitions(); ++i) {
      added.subpartitions.push_back(
          sources.registry->GetOrCreate({description->attempt, output.edge(), i}));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckFingerprint(const JobGraph& job_graph, const StreamGraph& graph) {
  const uint64_t fingerprint = graph.Fingerprint();
  if (fingerprint == job_graph.fingerprint) return absl::OkStatus();
  return absl::FailedPreconditionError(
      StrCat("the job's library builds another graph here than it did when the job was submitted; "
             "Build must depend on "
             "its arguments and the files it reads through JobArgs alone: job=",
             job_graph.job_name, " submitted_fingerprint=", job_graph.fingerprint,
             " fingerprint=", fingerprint));
}

absl::StatusOr<PreparedTask> PrepareTask(const proto::TaskDeployment& deployment,
                                         const PreparedJob& plan, const ChannelSources& channels) {
  const JobGraph::Vertex* const vertex =
      plan.job_graph.FindVertex(FromWireId<JobVertexId>(deployment.vertex()));
  if (vertex == nullptr) return DoesNotFit("the job has no such vertex", deployment);
  if (deployment.subtask() >= vertex->parallelism)
    return DoesNotFit("the vertex has no such subtask", deployment);
  PreparedTask task;
  TaskDescription& description = task.description;
  description.job = plan.job;
  description.attempt = FromWireId<ExecutionAttemptId>(deployment.attempt());
  description.attempt_number = deployment.attempt_number();
  description.vertex_name = vertex->name;
  description.subtask = deployment.subtask();
  description.parallelism = vertex->parallelism;
  description.max_parallelism = vertex->max_parallelism;
  description.graph = plan.graph;
  description.buffer_timeout = plan.buffer_timeout;
  description.latency_interval = plan.latency_interval;
  description.auto_watermark_interval = plan.auto_watermark_interval;
  description.checkpointing = plan.checkpointing;
  description.alignment = plan.alignment;
  description.local_dir = StrCat(plan.local_dir, "/", ToString(description.attempt));
  RETURN_IF_ERROR(AddOperators(deployment, plan, *vertex, &description));
  RETURN_IF_ERROR(AddGates(deployment, plan, channels, &task));
  RETURN_IF_ERROR(AddOutputs(deployment, plan, channels, &description));
  return task;
}

}  // namespace weir
