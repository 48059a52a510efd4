#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "jobmanager/cluster_information.h"
#include "runtime/graph/job_graph.h"

namespace weir {

/// What a library's Build is asked for.
struct BuildRequest {
  std::string library;  ///< Path.
  std::string entry;    ///< Empty: the only job of the library.
  std::vector<std::string> arguments;
  uint32_t default_parallelism = 1;
  uint32_t max_parallelism = 128;
  bool chaining = true;
};

struct BuiltJob {
  JobGraph graph;
  /// What Build read, as a serialised BuildResult with `files` alone; empty if it read nothing.
  std::string files;
};

/// Runs weir-job-builder, the process in which a library's code runs at submission, so that a crash
/// or an endless loop in it costs its submitter an error message.
///
/// A job's arguments may be secrets: they go to the process by its stdin, since everybody can read
/// its command line.
///
/// Threads: any, also at the same time; methods block for up to the time limit, so they are called
/// on the I/O pool.
class JobBuilder {
 public:
  /// `program` is the path of weir-job-builder; temporary files go to `work_folder`, which exists.
  JobBuilder(std::string program, std::string work_folder, absl::Duration time_limit);

  /// Errors: what Build returned; kDeadlineExceeded if it took too long; kInvalidArgument naming
  /// the signal and the end of its stderr if it crashed, or an argument that holds a NUL;
  /// kUnavailable if it cannot be started.
  [[nodiscard]] absl::StatusOr<BuiltJob> Build(const BuildRequest& request) const;

  /// Returns the jobs of a library. Errors: as Build.
  [[nodiscard]] absl::StatusOr<std::vector<JarEntry>> List(const std::string& library) const;

 private:
  /// Returns the content of the answer file; `arguments` lack --out.
  [[nodiscard]] absl::StatusOr<std::string> Run(
      std::vector<std::string> arguments, const std::vector<std::string>& job_arguments) const;

  const std::string program_;
  const std::string work_folder_;
  const absl::Duration time_limit_;
};

}  // namespace weir
