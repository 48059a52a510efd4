#include "jobmanager/failover_regions.h"

#include <algorithm>
#include <numeric>

#include "runtime/base/check.h"

namespace weir {
namespace {

// Sets of subtasks, each known by its least member.
class DisjointSets {
 public:
  explicit DisjointSets(size_t count) : parents_(count) {
    std::iota(parents_.begin(), parents_.end(), size_t{0});
  }

  size_t Find(size_t member) {
    while (parents_[member] != member) {
      parents_[member] = parents_[parents_[member]];
      member = parents_[member];
    }
    return member;
  }

  void Unite(size_t a, size_t b) {
    a = Find(a);
    b = Find(b);
    parents_[std::max(a, b)] = std::min(a, b);
  }

 private:
  std::vector<size_t> parents_;
};

bool HasCoordinator(const JobGraph::Vertex& vertex) {
  return std::any_of(vertex.operators.begin(), vertex.operators.end(),
                     [](const JobGraph::Operator& op) { return op.has_coordinator; });
}

}  // namespace

FailoverRegions::FailoverRegions(const JobGraph& graph, FailoverStrategy strategy) {
  size_t count = 0;
  for (const JobGraph::Vertex& vertex : graph.vertices) {
    first_of_vertex_[vertex.id] = count;
    count += vertex.parallelism;
  }
  DisjointSets sets(count);
  for (const JobGraph::Edge& edge : graph.edges) {
    const uint32_t num_producers = graph.FindVertex(edge.source_vertex)->parallelism;
    const uint32_t num_consumers = graph.FindVertex(edge.target_vertex)->parallelism;
    const size_t first_producer = first_of_vertex_.at(edge.source_vertex);
    const size_t first_consumer = first_of_vertex_.at(edge.target_vertex);
    for (uint32_t producer = 0; producer < num_producers; ++producer) {
      const SubtaskRange consumers =
          ConsumersOf(edge.strategy, producer, num_producers, num_consumers);
      for (uint32_t consumer = consumers.begin; consumer < consumers.end; ++consumer) {
        sets.Unite(first_producer + producer, first_consumer + consumer);
      }
    }
  }
  for (const JobGraph::Vertex& vertex : graph.vertices) {
    if (!HasCoordinator(vertex)) continue;
    const size_t first = first_of_vertex_.at(vertex.id);
    for (uint32_t subtask = 1; subtask < vertex.parallelism; ++subtask) {
      sets.Unite(first, first + subtask);
    }
  }
  regions_.resize(count);
  for (size_t i = 0; i < count; ++i) {
    const size_t least = strategy == FailoverStrategy::kFull ? 0 : sets.Find(i);
    regions_[i] = least == i ? num_regions_++ : regions_[least];
  }
}

size_t FailoverRegions::RegionOf(JobVertexId vertex, uint32_t subtask) const {
  const size_t index = first_of_vertex_.at(vertex) + subtask;
  DCHECK(index < regions_.size());
  return regions_[index];
}

}  // namespace weir
