// A job library with jobs that behave, and some that do not.

#include <cstdlib>
#include <stdexcept>

#include "runtime/graph/job_registration.h"
#include "tests/support/job_libraries/numbers_job.h"

namespace weir {
namespace {

absl::Status Crash(StreamGraph&, const JobArgs&) { std::abort(); }

absl::Status Throw(StreamGraph&, const JobArgs&) { throw std::runtime_error("out of cheese"); }

absl::Status Fail(StreamGraph&, const JobArgs&) { return absl::NotFoundError("no such topic"); }

// Takes as many numbers as the file `--input` has characters.
absl::Status ReadFile(StreamGraph& graph, const JobArgs& args) {
  const absl::StatusOr<std::string> content = args.File(args.GetString("input", "/nowhere"));
  if (!content.ok()) return content.status();
  absl::Status status = numbers_job::Build(graph, args);
  graph.mutable_nodes().back().name = "sink of " + *content;
  return status;
}

// Another graph each time it is built.
absl::Status Differ(StreamGraph& graph, const JobArgs& args) {
  static int calls = 0;
  absl::Status status = numbers_job::Build(graph, args);
  graph.mutable_nodes().back().name = "sink " + std::to_string(++calls);
  return status;
}

}  // namespace

WEIR_REGISTER_JOB_("numbers", "Counts up", &numbers_job::Build);
WEIR_REGISTER_JOB_("crash", "Aborts in Build", &Crash);
WEIR_REGISTER_JOB_("throw", "Throws in Build", &Throw);
WEIR_REGISTER_JOB_("fail", "Fails in Build", &Fail);
WEIR_REGISTER_JOB_("read_file", "Reads a file in Build", &ReadFile);
WEIR_REGISTER_JOB_("differ", "Builds another graph each time", &Differ);

}  // namespace weir
