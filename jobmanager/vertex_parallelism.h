#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "jobmanager/rescaling.h"
#include "runtime/graph/job_graph.h"

namespace weir {

/// Returns what a job asks for unless somebody asks for something else: between one subtask and the
/// graph's parallelism for each vertex. If `reactive`, as many as there can be for all vertices
/// whose parallelism the job's code leaves open.
[[nodiscard]] ResourceRequirements DefaultRequirements(const JobGraph& graph, bool reactive);

/// Checks that `requirements` name every vertex of the graph and no other, with bounds between 1
/// and its max parallelism in their order, the same ones at both ends of an edge that Forward()
/// asked for. Errors: kInvalidArgument, naming all that is wrong.
[[nodiscard]] absl::Status CheckRequirements(const JobGraph& graph,
                                             const ResourceRequirements& requirements);

/// Returns the upper bounds.
[[nodiscard]] VertexParallelism Wanted(const ResourceRequirements& requirements);

/// Returns how many slots a job with that parallelism needs: the most subtasks of any vertex,
/// summed over the slot sharing groups.
[[nodiscard]] uint32_t NumSlotsOf(const JobGraph& graph, const VertexParallelism& parallelism);

/// Returns the greatest parallelism within `requirements`, which have been checked, that
/// `num_slots` slots hold; nothing if they do not hold the lower bounds. Slots that are short are
/// divided among the slot sharing groups in proportion to what each wants.
[[nodiscard]] std::optional<VertexParallelism> FitParallelism(
    const JobGraph& graph, const ResourceRequirements& requirements, uint32_t num_slots);

/// Returns the parallelism that the graph has.
[[nodiscard]] VertexParallelism ParallelismOf(const JobGraph& graph);

/// Returns `submitted` with another parallelism, for all of its vertices. An edge that forwards
/// subtask i to subtask i rebalances where its ends differ.
[[nodiscard]] std::shared_ptr<const JobGraph> WithParallelism(const JobGraph& submitted,
                                                              const VertexParallelism& parallelism);

}  // namespace weir
