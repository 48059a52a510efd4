#include "runtime/graph/job_graph.h"

#include <optional>

#include "absl/status/status.h"
#include "proto/job_graph.pb.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

// What fixes the vertices, per node of the StreamGraph.
struct NodePlan {
  std::vector<uint32_t> parallelism;
  std::vector<std::string> slot_sharing_groups;
  std::vector<StreamNodeIndex> heads;  // Of the chains.
};

// An operator without a group of its own joins its inputs if they agree. Nodes are in topological
// order.
std::vector<std::string> SlotSharingGroups(const StreamGraph& graph) {
  std::vector<std::string> groups;
  for (StreamNodeIndex node = 0; node < graph.nodes().size(); ++node) {
    std::string group = graph.nodes()[node].slot_sharing_group;
    if (group.empty()) {
      std::optional<std::string> of_inputs;
      bool agree = true;
      for (const StreamEdge& edge : graph.edges()) {
        if (edge.target != node) continue;
        if (of_inputs.has_value()) agree = agree && *of_inputs == groups[edge.source];
        of_inputs = groups[edge.source];
      }
      group = of_inputs.has_value() && agree ? *of_inputs : std::string(kDefaultSlotSharingGroup);
    }
    groups.push_back(std::move(group));
  }
  return groups;
}

bool Chains(const StreamGraph& graph, const NodePlan& plan, const StreamEdge& edge) {
  return edge.partitioning.strategy == ShipStrategy::kForward &&
         graph.nodes()[edge.target].chaining == ChainingStrategy::kAlways &&
         graph.nodes()[edge.source].chaining != ChainingStrategy::kNever &&
         plan.parallelism[edge.source] == plan.parallelism[edge.target] &&
         plan.slot_sharing_groups[edge.source] == plan.slot_sharing_groups[edge.target];
}

// Works out, per node, the node at the head of its chain. Nodes are in topological order.
std::vector<StreamNodeIndex> ChainHeads(const StreamGraph& graph, const NodePlan& plan,
                                        bool chaining) {
  std::vector<StreamNodeIndex> heads(graph.nodes().size());
  for (StreamNodeIndex node = 0; node < heads.size(); ++node) {
    heads[node] = node;
    const StreamEdge* only_input = nullptr;
    int num_inputs = 0;
    for (const StreamEdge& edge : graph.edges()) {
      if (edge.target != node) continue;
      only_input = &edge;
      ++num_inputs;
    }
    if (chaining && num_inputs == 1 && Chains(graph, plan, *only_input)) {
      heads[node] = heads[only_input->source];
    }
  }
  return heads;
}

absl::StatusOr<std::vector<uint32_t>> ResolveParallelism(const StreamGraph& graph,
                                                         const JobGraphOptions& options) {
  std::vector<uint32_t> parallelism;
  for (const StreamNode& node : graph.nodes()) {
    parallelism.push_back(node.parallelism.value_or(options.default_parallelism));
    const uint32_t max_parallelism = node.max_parallelism.value_or(options.default_max_parallelism);
    if (parallelism.back() == 0 || parallelism.back() > max_parallelism ||
        max_parallelism > 32768) {
      return absl::InvalidArgumentError(
          StrCat("parallelism must be between 1 and the max parallelism, and that at most 32768: "
                 "operator=",
                 node.name, " parallelism=", parallelism.back(),
                 " max_parallelism=", max_parallelism, DeclaredAt(node)));
    }
  }
  return parallelism;
}

std::string IdBytes(uint64_t high, uint64_t low) {
  std::string bytes;
  ByteWriter writer(&bytes);
  writer.WriteFixed(high);
  writer.WriteFixed(low);
  return bytes;
}

template <class Id>
std::string ToBytes(const Id& id) {
  return IdBytes(id.high(), id.low());
}

template <class Id>
bool FromBytes(std::string_view bytes, Id* id) {
  ByteReader reader(bytes);
  uint64_t high = 0;
  uint64_t low = 0;
  if (!reader.ReadFixed(&high) || !reader.ReadFixed(&low) || reader.remaining() != 0) return false;
  *id = Id(high, low);
  return true;
}

}  // namespace

const JobGraph::Vertex* JobGraph::FindVertex(JobVertexId id) const {
  for (const Vertex& vertex : vertices) {
    if (vertex.id == id) return &vertex;
  }
  return nullptr;
}

namespace {

// Chains operators into the job's vertices.
void AddVertices(const StreamGraph& graph, const JobGraphOptions& options, const NodePlan& plan,
                 JobGraph* job) {
  for (StreamNodeIndex node = 0; node < plan.heads.size(); ++node) {
    const StreamNode& description = graph.nodes()[node];
    const OperatorId head = graph.operator_id(plan.heads[node]);
    const JobVertexId id(head.high(), head.low());
    JobGraph::Vertex* vertex = nullptr;
    for (JobGraph::Vertex& existing : job->vertices) {
      if (existing.id == id) vertex = &existing;
    }
    if (vertex == nullptr) {
      vertex = &job->vertices.emplace_back();
      vertex->id = id;
      vertex->parallelism = plan.parallelism[node];
      vertex->max_parallelism =
          description.max_parallelism.value_or(options.default_max_parallelism);
      vertex->slot_sharing_group = plan.slot_sharing_groups[node];
    }
    vertex->parallelism_configured =
        vertex->parallelism_configured || description.parallelism.has_value();
    StrAppend(&vertex->name, vertex->operators.empty() ? "" : " -> ",
              description.is_source() ? "Source: " : "",
              description.outputs.empty() ? "Sink: " : "", description.name);
    vertex->operators.push_back({graph.operator_id(node), description.uid, description.name,
                                 description.is_source(), description.coordinator != nullptr});
  }
}

absl::Status CheckForward(const StreamGraph& graph, const NodePlan& plan, const StreamEdge& edge) {
  if (!edge.partitioning.same_parallelism ||
      plan.parallelism[edge.source] == plan.parallelism[edge.target]) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(StrCat(
      "forward partitioning does not allow a change of parallelism; give both operators the "
      "same, or use Rebalance() or Rescale(): from=",
      graph.nodes()[edge.source].name, " parallelism=", plan.parallelism[edge.source],
      " to=", graph.nodes()[edge.target].name, " parallelism=", plan.parallelism[edge.target],
      DeclaredAt(graph.nodes()[edge.target])));
}

SubtaskRange All(uint32_t count) { return {0, count}; }

bool IsPointwise(ShipStrategy strategy) {
  return strategy == ShipStrategy::kForward || strategy == ShipStrategy::kRescale;
}

uint32_t DivideUp(uint64_t number, uint64_t by) {
  return static_cast<uint32_t>((number + by - 1) / by);
}

}  // namespace

SubtaskRange ProducersOf(ShipStrategy strategy, uint32_t consumer, uint32_t num_producers,
                         uint32_t num_consumers) {
  if (!IsPointwise(strategy)) return All(num_producers);
  const auto first = static_cast<uint32_t>(uint64_t{consumer} * num_producers / num_consumers);
  if (num_producers < num_consumers) return {first, first + 1};
  return {first, static_cast<uint32_t>((uint64_t{consumer} + 1) * num_producers / num_consumers)};
}

SubtaskRange ConsumersOf(ShipStrategy strategy, uint32_t producer, uint32_t num_producers,
                         uint32_t num_consumers) {
  if (!IsPointwise(strategy)) return All(num_consumers);
  if (num_producers < num_consumers) {
    return {DivideUp(uint64_t{producer} * num_consumers, num_producers),
            DivideUp((uint64_t{producer} + 1) * num_consumers, num_producers)};
  }
  const auto only =
      static_cast<uint32_t>(((uint64_t{producer} + 1) * num_consumers - 1) / num_producers);
  return {only, only + 1};
}

absl::StatusOr<JobGraph> BuildJobGraph(const StreamGraph& graph, const JobGraphOptions& options) {
  NodePlan plan;
  ASSIGN_OR_RETURN(plan.parallelism, ResolveParallelism(graph, options));
  plan.slot_sharing_groups = SlotSharingGroups(graph);
  plan.heads = ChainHeads(graph, plan, options.chaining && graph.chaining_enabled());

  JobGraph job;
  job.job_name = graph.job_name();
  job.fingerprint = graph.Fingerprint();
  job.settings = graph.settings();
  AddVertices(graph, options, plan, &job);
  const auto vertex_id = [&](StreamNodeIndex node) {
    const OperatorId id = graph.operator_id(plan.heads[node]);
    return JobVertexId(id.high(), id.low());
  };
  for (const StreamEdge& edge : graph.edges()) {
    RETURN_IF_ERROR(CheckForward(graph, plan, edge));
    if (plan.heads[edge.target] != edge.target) continue;  // Inside a chain.
    JobGraph::Edge job_edge{vertex_id(edge.source),
                            graph.operator_id(edge.source),
                            edge.source_port,
                            vertex_id(edge.target),
                            edge.target_input,
                            edge.partitioning.strategy,
                            edge.partitioning.same_parallelism};
    if (job_edge.strategy == ShipStrategy::kForward &&
        plan.parallelism[edge.source] != plan.parallelism[edge.target]) {
      job_edge.strategy = ShipStrategy::kRebalance;
    }
    job.edges.push_back(job_edge);
  }
  return job;
}

std::string SerializeJobGraph(const JobGraph& graph) {
  proto::JobGraph message;
  message.set_job_name(graph.job_name);
  message.set_fingerprint(graph.fingerprint);
  for (const auto& [key, value] : graph.settings) (*message.mutable_settings())[key] = value;
  for (const JobGraph::Vertex& vertex : graph.vertices) {
    proto::JobVertex* out = message.add_vertices();
    out->set_id(ToBytes(vertex.id));
    out->set_name(vertex.name);
    out->set_parallelism(vertex.parallelism);
    out->set_max_parallelism(vertex.max_parallelism);
    out->set_slot_sharing_group(vertex.slot_sharing_group);
    out->set_parallelism_configured(vertex.parallelism_configured);
    for (const JobGraph::Operator& op : vertex.operators) {
      proto::ChainedOperator* chained = out->add_operators();
      chained->set_id(ToBytes(op.id));
      chained->set_uid(op.uid);
      chained->set_name(op.name);
      chained->set_is_source(op.is_source);
      chained->set_has_coordinator(op.has_coordinator);
    }
  }
  for (const JobGraph::Edge& edge : graph.edges) {
    proto::JobEdge* out = message.add_edges();
    out->set_source_vertex(ToBytes(edge.source_vertex));
    out->set_source_operator(ToBytes(edge.source_operator));
    out->set_source_port(edge.source_port);
    out->set_target_vertex(ToBytes(edge.target_vertex));
    out->set_target_input(edge.target_input);
    out->set_ship_strategy(static_cast<proto::ShipStrategy>(edge.strategy));
    out->set_same_parallelism(edge.same_parallelism);
  }
  return message.SerializeAsString();
}

absl::StatusOr<JobGraph> ParseJobGraph(std::string_view bytes) {
  proto::JobGraph message;
  bool valid = message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
  JobGraph graph;
  graph.job_name = message.job_name();
  graph.fingerprint = message.fingerprint();
  graph.settings.insert(message.settings().begin(), message.settings().end());
  for (const proto::JobVertex& in : message.vertices()) {
    JobGraph::Vertex& vertex = graph.vertices.emplace_back();
    valid =
        valid && FromBytes(in.id(), &vertex.id) && in.parallelism() > 0 && in.operators_size() > 0;
    vertex.name = in.name();
    vertex.parallelism = in.parallelism();
    vertex.max_parallelism = in.max_parallelism();
    vertex.parallelism_configured = in.parallelism_configured();
    if (!in.slot_sharing_group().empty()) vertex.slot_sharing_group = in.slot_sharing_group();
    for (const proto::ChainedOperator& op : in.operators()) {
      JobGraph::Operator& chained = vertex.operators.emplace_back();
      valid = valid && FromBytes(op.id(), &chained.id);
      chained.uid = op.uid();
      chained.name = op.name();
      chained.is_source = op.is_source();
      chained.has_coordinator = op.has_coordinator();
    }
  }
  for (const proto::JobEdge& in : message.edges()) {
    JobGraph::Edge& edge = graph.edges.emplace_back();
    valid = valid && FromBytes(in.source_vertex(), &edge.source_vertex) &&
            FromBytes(in.source_operator(), &edge.source_operator) &&
            FromBytes(in.target_vertex(), &edge.target_vertex) && in.ship_strategy() >= 0 &&
            in.ship_strategy() <= static_cast<int>(kLastShipStrategy);
    edge.source_port = in.source_port();
    edge.target_input = in.target_input();
    edge.same_parallelism = in.same_parallelism();
    edge.strategy = static_cast<ShipStrategy>(in.ship_strategy());
    valid = valid && graph.FindVertex(edge.source_vertex) != nullptr &&
            graph.FindVertex(edge.target_vertex) != nullptr;
  }
  if (!valid)
    return absl::DataLossError("not a JobGraph: the bytes are damaged or of another version");
  return graph;
}

}  // namespace weir
