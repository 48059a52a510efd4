#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "runtime/graph/ids.h"
#include "runtime/graph/job_graph.h"

namespace weir {

/// What fails, and is restarted, together (jobmanager.execution.failover-strategy).
enum class FailoverStrategy : uint8_t { kRegion, kFull };

/// Divides a job's subtasks into the regions that are restarted as one: subtasks that channels
/// join, and all subtasks of a vertex that has an operator coordinator, because they share it. With
/// FailoverStrategy::kFull the whole job is one region. A value; immutable.
class FailoverRegions {
 public:
  FailoverRegions(const JobGraph& graph, FailoverStrategy strategy);

  /// Regions are numbered from 0, in the order of the graph's vertices and their subtasks.
  [[nodiscard]] size_t num_regions() const { return num_regions_; }
  /// `vertex` and `subtask` are of the graph.
  [[nodiscard]] size_t RegionOf(JobVertexId vertex, uint32_t subtask) const;

 private:
  std::map<JobVertexId, size_t> first_of_vertex_;  // Into `regions_`, which has one per subtask.
  std::vector<size_t> regions_;
  size_t num_regions_ = 0;
};

}  // namespace weir
