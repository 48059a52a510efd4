// weir-job-builder: runs a job library's Build in a process of its own and writes what came of it,
// so that a crash, an endless loop or a wrong library costs its submitter an error message and
// nobody else anything.

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/job_graph.pb.h"
#include "runtime/base/status_macros.h"
#include "runtime/graph/job_args.h"
#include "runtime/graph/job_graph.h"
#include "runtime/graph/job_library.h"

namespace weir {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

struct BuilderOptions {
  std::string library;
  std::string entry;
  std::string out;
  bool list = false;
  bool arguments_from_stdin = false;
  int64_t parent = 0;
  JobGraphOptions graph;
  std::vector<std::string> arguments;
};

// The arguments of the job, a NUL behind each. A command line is no place for secrets.
void ReadArguments(std::istream& input, std::vector<std::string>* arguments) {
  for (std::string argument; std::getline(input, argument, '\0');) arguments->push_back(argument);
}

// A crash here is expected of user code: it must not fill the disk.
void DisableCoreDumps() {
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  prctl(PR_SET_DUMPABLE, 0);
}

// Whoever waits for the answer may die of a signal that nobody can catch. Returns whether it lives.
bool EndWithParent(int64_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  return getppid() == parent;
}

absl::StatusOr<std::string> ListJobs(const BuilderOptions& options) {
  ASSIGN_OR_RETURN(const auto library, JobLibrary::Load(options.library));
  proto::JobListing listing;
  listing.set_abi_stamp(std::string(JobLibrary::ProcessAbiStamp()));
  for (const JobDefinition& job : library->jobs()) {
    proto::ListedJob* const listed = listing.add_jobs();
    listed->set_name(job.name);
    listed->set_description(job.description);
  }
  return listing.SerializeAsString();
}

absl::StatusOr<std::string> BuildJob(const BuilderOptions& options) {
  ASSIGN_OR_RETURN(const auto library, JobLibrary::Load(options.library));
  ASSIGN_OR_RETURN(const JobDefinition* const job, library->Find(options.entry));
  ASSIGN_OR_RETURN(const JobArgs args, JobArgs::Parse(options.arguments));
  ASSIGN_OR_RETURN(const StreamGraph graph, BuildStreamGraph(*job, args));
  ASSIGN_OR_RETURN(const JobGraph job_graph, BuildJobGraph(graph, options.graph));
  proto::BuildResult result;
  if (!result.mutable_graph()->ParseFromString(SerializeJobGraph(job_graph))) {
    return absl::InternalError("the job graph cannot be written");
  }
  for (const auto& [path, content] : args.recorded_files()) {
    (*result.mutable_files())[path] = content;
  }
  return result.SerializeAsString();
}

std::string SerializeError(const absl::Status& status) {
  proto::BuildResult result;
  result.set_error(std::string(status.message()));
  result.set_error_code(static_cast<int32_t>(status.code()));
  return result.SerializeAsString();
}

// The answer holds the files that Build read, secrets among them.
bool WriteFile(const std::string& path, const std::string& content) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  close(fd);
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  file.close();
  return static_cast<bool>(file);
}

int Run(const BuilderOptions& options) {
  const absl::StatusOr<std::string> answer = options.list ? ListJobs(options) : BuildJob(options);
  const std::string content = answer.ok() ? *answer : SerializeError(answer.status());
  if (!answer.ok()) {
    std::fprintf(stderr, "weir-job-builder: %s\n", answer.status().ToString().c_str());
  }
  if (!WriteFile(options.out, content)) {
    std::fprintf(stderr, "weir-job-builder: cannot write the answer: path=%s\n",
                 options.out.c_str());
    return kExitFailed;
  }
  return answer.ok() ? 0 : kExitFailed;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  weir::DisableCoreDumps();
  weir::BuilderOptions options;
  // What follows "--" is the job's, whatever it looks like.
  std::vector<std::string> own;
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--") {
      options.arguments.assign(argv + i + 1, argv + argc);
      break;
    }
    own.insert(own.begin(), argv[i]);  // CLI11 takes a vector back to front.
  }

  CLI::App app("Builds the graph of a job from its library.", "weir-job-builder");
  app.add_option("--library", options.library, "The job library")->required();
  app.add_option("--entry", options.entry, "Name of the job; needed if the library has several");
  app.add_flag("--list", options.list, "List the library's jobs instead");
  app.add_option("--default-parallelism", options.graph.default_parallelism,
                 "Parallelism of operators that set none");
  app.add_option("--max-parallelism", options.graph.default_max_parallelism,
                 "Max parallelism of operators that set none");
  app.add_flag("!--no-chaining", options.graph.chaining, "Make each operator a task of its own");
  app.add_option("--out", options.out, "File to write the BuildResult or JobListing to")
      ->required();
  app.add_flag("--arguments-from-stdin", options.arguments_from_stdin,
               "Read the job's arguments from stdin, each with a NUL behind it, rather than "
               "behind \"--\"");
  app.add_option("--parent", options.parent, "Process that this one is not to outlive");
  try {
    app.parse(own);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : weir::kExitUsage;
  }
  if (options.parent != 0 && !weir::EndWithParent(options.parent)) return weir::kExitFailed;
  if (options.arguments_from_stdin) weir::ReadArguments(std::cin, &options.arguments);
  return weir::Run(options);
}
