#include "jobmanager/vertex_parallelism.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/strings.h"

namespace weir {
namespace {

// Makes `value` the same at both ends of every edge that Forward() asked for: the smaller one.
template <class Value, class Smaller>
void EvenOut(const JobGraph& graph, std::map<JobVertexId, Value>* values, Smaller smaller) {
  bool changed = true;
  while (changed) {
    changed = false;
    for (const JobGraph::Edge& edge : graph.edges) {
      if (!edge.same_parallelism) continue;
      Value& source = values->at(edge.source_vertex);
      Value& target = values->at(edge.target_vertex);
      if (source == target) continue;
      source = target = smaller(source, target);
      changed = true;
    }
  }
}

struct Group {
  uint32_t least = 0;
  uint32_t most = 0;
  uint32_t slots = 0;
};

std::map<std::string, Group> GroupsOf(const JobGraph& graph,
                                      const ResourceRequirements& requirements) {
  std::map<std::string, Group> groups;
  for (const JobGraph::Vertex& vertex : graph.vertices) {
    const ParallelismRange& range = requirements.at(vertex.id);
    Group& group = groups[vertex.slot_sharing_group];
    group.least = std::max(group.least, range.lower);
    group.most = std::max(group.most, range.upper);
  }
  return groups;
}

// Returns the group that has the smallest share of what it wants, or null if each has all.
Group* Poorest(std::map<std::string, Group>* groups) {
  Group* poorest = nullptr;
  for (auto& [name, group] : *groups) {
    if (group.slots == group.most) continue;
    if (poorest == nullptr ||
        uint64_t{group.slots} * poorest->most < uint64_t{poorest->slots} * group.most) {
      poorest = &group;
    }
  }
  return poorest;
}

std::string CheckRange(const JobGraph::Vertex& vertex, const ParallelismRange& range) {
  std::string problem;
  if (range.lower == 0) {
    problem = "lowerBound has to be at least 1";
  } else if (range.lower > range.upper) {
    problem = "lowerBound is above upperBound";
  } else if (range.upper > vertex.max_parallelism) {
    problem = "upperBound is above the vertex's max parallelism, which is fixed with its state";
  }
  if (problem.empty()) return problem;
  return StrCat(problem, ": vertex=", ToString(vertex.id), " name=", vertex.name,
                " lowerBound=", range.lower, " upperBound=", range.upper,
                " max_parallelism=", vertex.max_parallelism);
}

}  // namespace

ResourceRequirements DefaultRequirements(const JobGraph& graph, bool reactive) {
  ResourceRequirements requirements;
  for (const JobGraph::Vertex& vertex : graph.vertices) {
    const bool grows = reactive && !vertex.parallelism_configured;
    requirements[vertex.id] = {1, grows ? vertex.max_parallelism : vertex.parallelism};
  }
  EvenOut(graph, &requirements, [](const ParallelismRange& a, const ParallelismRange& b) {
    return a.upper < b.upper ? a : b;
  });
  return requirements;
}

absl::Status CheckRequirements(const JobGraph& graph, const ResourceRequirements& requirements) {
  std::vector<std::string> problems;
  for (const auto& [id, range] : requirements) {
    if (graph.FindVertex(id) == nullptr) {
      problems.push_back(StrCat("the job has no such vertex: ", ToString(id)));
    }
  }
  for (const JobGraph::Vertex& vertex : graph.vertices) {
    const auto found = requirements.find(vertex.id);
    if (found == requirements.end()) {
      problems.push_back(StrCat("a vertex is missing; name all vertices of the job: ",
                                ToString(vertex.id), " name=", vertex.name));
    } else if (std::string problem = CheckRange(vertex, found->second); !problem.empty()) {
      problems.push_back(std::move(problem));
    }
  }
  if (problems.empty()) {
    for (const JobGraph::Edge& edge : graph.edges) {
      if (!edge.same_parallelism ||
          requirements.at(edge.source_vertex) == requirements.at(edge.target_vertex)) {
        continue;
      }
      problems.push_back(
          StrCat("the job joins two vertices by Forward(), so their bounds have to be the same: ",
                 graph.FindVertex(edge.source_vertex)->name, " and ",
                 graph.FindVertex(edge.target_vertex)->name));
    }
  }
  if (problems.empty()) return absl::OkStatus();
  std::string message = "the resource requirements do not fit the job";
  for (const std::string& problem : problems) StrAppend(&message, "; ", problem);
  return absl::InvalidArgumentError(message);
}

VertexParallelism Wanted(const ResourceRequirements& requirements) {
  VertexParallelism parallelism;
  for (const auto& [id, range] : requirements) parallelism.emplace(id, range.upper);
  return parallelism;
}

uint32_t NumSlotsOf(const JobGraph& graph, const VertexParallelism& parallelism) {
  std::map<std::string, uint32_t> most_of_group;
  for (const JobGraph::Vertex& vertex : graph.vertices) {
    uint32_t& most = most_of_group[vertex.slot_sharing_group];
    most = std::max(most, parallelism.at(vertex.id));
  }
  uint32_t num_slots = 0;
  for (const auto& [group, most] : most_of_group) num_slots += most;
  return num_slots;
}

std::optional<VertexParallelism> FitParallelism(const JobGraph& graph,
                                                const ResourceRequirements& requirements,
                                                uint32_t num_slots) {
  std::map<std::string, Group> groups = GroupsOf(graph, requirements);
  uint64_t num_least = 0;
  for (auto& [name, group] : groups) {
    group.slots = group.least;
    num_least += group.least;
  }
  if (num_least > num_slots) return std::nullopt;
  for (uint64_t left = num_slots - num_least; left > 0; --left) {
    Group* const poorest = Poorest(&groups);
    if (poorest == nullptr) break;
    ++poorest->slots;
  }
  VertexParallelism parallelism;
  for (const JobGraph::Vertex& vertex : graph.vertices) {
    const ParallelismRange& range = requirements.at(vertex.id);
    parallelism[vertex.id] = std::min(range.upper, groups.at(vertex.slot_sharing_group).slots);
  }
  EvenOut(graph, &parallelism, [](uint32_t a, uint32_t b) { return std::min(a, b); });
  return parallelism;
}

VertexParallelism ParallelismOf(const JobGraph& graph) {
  VertexParallelism parallelism;
  for (const JobGraph::Vertex& vertex : graph.vertices) {
    parallelism.emplace(vertex.id, vertex.parallelism);
  }
  return parallelism;
}

std::shared_ptr<const JobGraph> WithParallelism(const JobGraph& submitted,
                                                const VertexParallelism& parallelism) {
  auto graph = std::make_shared<JobGraph>(submitted);
  for (JobGraph::Vertex& vertex : graph->vertices) vertex.parallelism = parallelism.at(vertex.id);
  for (JobGraph::Edge& edge : graph->edges) {
    if (edge.strategy == ShipStrategy::kForward &&
        parallelism.at(edge.source_vertex) != parallelism.at(edge.target_vertex)) {
      edge.strategy = ShipStrategy::kRebalance;
    }
  }
  return graph;
}

}  // namespace weir
