#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/ids.h"
#include "runtime/metrics/metric_report.h"

namespace weir {

/// Asks for the newest metrics of one kind of thing.
struct MetricQuery {
  enum class Scope : uint8_t {
    kJobManager,
    kTaskManagers,
    kJobs,
    kSubtasks,      ///< Of one vertex: each subtask's task and operators.
    kCoordinators,  ///< Of one vertex: its operators' coordinators.
  };
  Scope scope = Scope::kJobManager;
  /// For kTaskManagers: these only. Empty: all.
  std::vector<std::string> taskmanager_ids = {};
  /// For kJobs: these only; empty: all that run. For a vertex: its job alone.
  std::vector<JobId> job_ids = {};
  JobVertexId vertex_id = {};
};

/// What one of them said of itself, not older than a few seconds. What has said nothing yet, or is
/// unknown, is left out.
struct ScopeMetrics {
  /// The subtask's index; 0 for other scopes.
  uint32_t index = 0;
  MetricReport report;
};

}  // namespace weir
