#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/graph/job_args.h"
#include "runtime/graph/job_definition.h"
#include "runtime/graph/stream_graph.h"

namespace weir {

/// A shared library with jobs in it, loaded into this process.
///
/// Lifecycle: loaded once per content and never unloaded: objects of its types may live on
/// anywhere. A file's name means nothing, so two versions of one job can be loaded side by side.
/// Threads: any.
class JobLibrary {
 public:
  /// Loads the library in the file `path`, or returns the one of the same content loaded before.
  /// The stamp is read from the file first: of a library with another one no code runs. What is
  /// loaded is a copy, so the file may change or go afterwards. Blocks.
  /// Errors: kInvalidArgument for what is no job library (another kind of file, cut short, without
  /// entry point, of unknown symbols), kFailedPrecondition naming both stamps for one of another
  /// build, kNotFound if the file cannot be read.
  [[nodiscard]] static absl::StatusOr<std::shared_ptr<const JobLibrary>> Load(
      const std::string& path);

  /// Returns the ABI stamp that job libraries must carry to be loaded here.
  [[nodiscard]] static std::string_view ProcessAbiStamp();

  /// Hash of the file's content, as ContentHash makes it.
  [[nodiscard]] const std::string& hash() const { return hash_; }
  /// The library's jobs, by name; at least one.
  [[nodiscard]] const std::vector<JobDefinition>& jobs() const { return jobs_; }

  /// Returns the job named `entry`; with an empty name, the library's only one. Errors:
  /// kInvalidArgument naming the nearest match, or all jobs if a name must be given.
  [[nodiscard]] absl::StatusOr<const JobDefinition*> Find(std::string_view entry) const;

 private:
  JobLibrary(std::string hash, std::vector<JobDefinition> jobs);

  const std::string hash_;
  const std::vector<JobDefinition> jobs_;
};

/// Runs the job's Build and finishes the graph; one without a name gets the job's. User code runs
/// here, and what it throws becomes an error. Blocks as long as Build does. Errors: Build's own,
/// kInternal for an exception, kInvalidArgument for a graph that is not whole or an argument that
/// Build did not ask for.
[[nodiscard]] absl::StatusOr<StreamGraph> BuildStreamGraph(const JobDefinition& job,
                                                           const JobArgs& args);

}  // namespace weir
