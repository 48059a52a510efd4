#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "jobmanager/rescaling.h"
#include "jobmanager/savepoint.h"
#include "runtime/base/config.h"
#include "runtime/base/ids.h"
#include "runtime/graph/job_graph.h"

namespace weir {

/// A job as it was submitted: everything that is needed to run it, now or after a restart. Plain
/// data.
struct JobDescription {
  JobId id;
  std::shared_ptr<const JobGraph> graph;
  /// Where its operators' code is: a blob, the name of the job in it, and what Build was given.
  std::string library_hash;
  std::string entry;
  std::vector<std::string> arguments;
  /// Whether the library was uploaded, so that it is nobody's but the job's; else weir ships it.
  bool uploaded_library = false;
  /// Blob of the files that Build read; empty if it read none.
  std::string files_hash;
  /// The cluster's settings, overridden by the graph's, overridden by the request's.
  Configuration settings;
  /// What the request set of them.
  std::map<std::string, std::string> request_settings = {};
  std::optional<uint32_t> requested_parallelism = {};
  /// The folder of this job's checkpoints.
  std::string checkpoint_dir;
  /// The folder of a savepoint or a retained checkpoint to start from; empty: from nothing.
  std::string savepoint_path;
  bool allow_non_restored_state = false;
  ClaimMode claim_mode = ClaimMode::kNoClaim;
  /// Empty: what the graph and the settings say.
  ResourceRequirements requirements = {};
  /// Somebody cancelled it, which had not ended yet.
  bool is_cancelled = false;
};

}  // namespace weir
