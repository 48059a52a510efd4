#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/base/ids.h"
#include "runtime/graph/ids.h"
#include "runtime/graph/stream_graph.h"

namespace weir {

/// The parallel plan of a job: vertices of chained operators, and the edges over which records are
/// shipped. Plain data without code; the JobManager schedules by it, and TaskManagers look its
/// operators up in the StreamGraph that the job's library builds.
struct JobGraph {
  struct Operator {
    OperatorId id;
    std::string uid;
    std::string name;
    bool is_source = false;
    bool has_coordinator = false;
  };
  struct Vertex {
    JobVertexId id;
    std::string name;
    uint32_t parallelism = 1;
    uint32_t max_parallelism = 128;
    /// Whether an operator asked for its parallelism itself, so that it is not the job's.
    bool parallelism_configured = false;
    std::string slot_sharing_group = std::string(kDefaultSlotSharingGroup);
    /// From the head to the last; every operator stands behind those it reads from.
    std::vector<Operator> operators;
  };
  struct Edge {
    JobVertexId source_vertex;
    OperatorId source_operator;
    uint32_t source_port = 0;
    JobVertexId target_vertex;
    uint32_t target_input = 0;
    ShipStrategy strategy = ShipStrategy::kForward;
    /// Asked for by Forward(): both ends have to keep one parallelism.
    bool same_parallelism = false;

    /// Several edges may have the same ends: a stream united with itself.
    [[nodiscard]] bool SameEnds(const Edge& other) const {
      return source_operator == other.source_operator && source_port == other.source_port &&
             target_vertex == other.target_vertex && target_input == other.target_input;
    }
  };

  std::string job_name;
  std::vector<Vertex> vertices;
  std::vector<Edge> edges;
  uint64_t fingerprint = 0;
  std::map<std::string, std::string> settings;

  [[nodiscard]] const Vertex* FindVertex(JobVertexId id) const;
};

/// What Build does not see: the parallelism of operators that ask for none of their own.
struct JobGraphOptions {
  uint32_t default_parallelism = 1;
  uint32_t default_max_parallelism = 128;
  /// False makes every operator a vertex of its own, whatever the graph says.
  bool chaining = true;
};

/// Subtasks [begin, end) at one end of an edge.
struct SubtaskRange {
  uint32_t begin = 0;
  uint32_t end = 0;
  [[nodiscard]] uint32_t size() const { return end - begin; }
  friend bool operator==(const SubtaskRange&, const SubtaskRange&) = default;
};

/// Which consumers a producer's subtask has channels to: all of them but for kForward and kRescale,
/// which connect as few as they can. Its subpartitions are those consumers, in order.
[[nodiscard]] SubtaskRange ConsumersOf(ShipStrategy strategy, uint32_t producer,
                                       uint32_t num_producers, uint32_t num_consumers);
/// Which producers a consumer's subtask has channels from: the other side of ConsumersOf.
[[nodiscard]] SubtaskRange ProducersOf(ShipStrategy strategy, uint32_t consumer,
                                       uint32_t num_producers, uint32_t num_consumers);

/// Chains operators and fixes parallelism. `graph` must be finished. Errors: kInvalidArgument if an
/// operator's parallelism is 0 or above its max parallelism, or an edge asked for by Forward()
/// joins different parallelisms.
[[nodiscard]] absl::StatusOr<JobGraph> BuildJobGraph(const StreamGraph& graph,
                                                     const JobGraphOptions& options);

/// The graph as protobuf (proto/job_graph.proto), for storage and for the wire.
[[nodiscard]] std::string SerializeJobGraph(const JobGraph& graph);
/// Errors: kDataLoss if `bytes` is no JobGraph.
[[nodiscard]] absl::StatusOr<JobGraph> ParseJobGraph(std::string_view bytes);

}  // namespace weir
