#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "operators/api/stream_environment.h"
#include "runtime/base/status_macros.h"
#include "tests/support/local_job.h"
#include "tests/support/temporary_folder.h"

namespace weir {

/// Runs a bounded job to its end in this process.
[[nodiscard]] inline absl::Status RunJob(absl::Status (*build)(StreamEnvironment&, const JobArgs&),
                                         const std::vector<std::string>& arguments,
                                         uint32_t parallelism) {
  auto graph = BuildTestGraph(
      [build](StreamGraph& stream_graph, const JobArgs& args) {
        StreamEnvironment environment(&stream_graph);
        return build(environment, args);
      },
      arguments);
  RETURN_IF_ERROR(graph.status());
  const TemporaryFolder checkpoints;
  LocalJobOptions options;
  options.parallelism = parallelism;
  options.directory = checkpoints.path();
  LocalJob job(*std::move(graph), options);
  RETURN_IF_ERROR(job.Start());
  return job.WaitUntilFinished();
}

/// Returns the lines of all committed files in `folder` whose names begin with `part-<prefix>-`,
/// sorted.
[[nodiscard]] inline std::vector<std::string> CommittedLines(const std::string& folder,
                                                             const std::string& prefix) {
  std::vector<std::string> lines;
  if (!std::filesystem::exists(folder)) return lines;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (!entry.path().filename().string().starts_with("part-" + prefix + "-")) continue;
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);) lines.push_back(std::move(line));
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

}  // namespace weir
