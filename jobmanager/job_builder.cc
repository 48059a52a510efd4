#include "jobmanager/job_builder.h"

#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <utility>

#include "jobmanager/child_process.h"
#include "jobmanager/durable_file.h"
#include "jobmanager/proto_ids.h"
#include "proto/job_graph.pb.h"
#include "runtime/base/ids.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

constexpr size_t kMaxOutputTail = 2000;
constexpr int kExitFailed = 1;

// The end of what the process wrote to stdout and stderr, from a line's start where possible.
std::string OutputTail(const std::string& path) {
  const absl::StatusOr<std::string> output = ReadWholeFile(path);
  if (!output.ok()) return "";
  std::string_view tail = *output;
  if (tail.size() > kMaxOutputTail) {
    tail.remove_prefix(tail.size() - kMaxOutputTail);
    const size_t line = tail.find('\n');
    if (line != std::string_view::npos && line + 1 < tail.size()) tail.remove_prefix(line + 1);
  }
  tail = StripWhitespace(tail);
  return tail.empty() ? "" : StrCat("; its last words: ", tail);
}

absl::Status ErrorOfResult(const proto::BuildResult& result) {
  return StatusFromWire(result.error_code(), result.error());
}

// Each argument with a NUL behind it, which none can hold.
absl::StatusOr<std::string> JoinArguments(const std::vector<std::string>& arguments) {
  std::string joined;
  for (const std::string& argument : arguments) {
    if (argument.find('\0') != std::string::npos) {
      return absl::InvalidArgumentError(StrCat(
          "a job argument holds a NUL character; leave it out: argument=", argument.c_str()));
    }
    joined.append(argument).push_back('\0');
  }
  return joined;
}

// Files that are removed with their owner.
struct TemporaryFiles {
  explicit TemporaryFiles(const std::string& stem)
      : answer(stem + ".answer"), output(stem + ".log") {}
  ~TemporaryFiles() {
    std::error_code ignored;
    std::filesystem::remove(answer, ignored);
    std::filesystem::remove(output, ignored);
  }
  TemporaryFiles(const TemporaryFiles&) = delete;
  TemporaryFiles& operator=(const TemporaryFiles&) = delete;

  const std::string answer;
  const std::string output;
};

}  // namespace

JobBuilder::JobBuilder(std::string program, std::string work_folder, absl::Duration time_limit)
    : program_(std::move(program)), work_folder_(std::move(work_folder)), time_limit_(time_limit) {}

absl::StatusOr<std::string> JobBuilder::Run(std::vector<std::string> arguments,
                                            const std::vector<std::string>& job_arguments) const {
  const TemporaryFiles files(
      StrCat(work_folder_, "/build-", ToString(RandomId<HexId<struct BuildTag>>())));
  std::vector<std::string> command = {program_};
  command.insert(command.end(), arguments.begin(), arguments.end());
  command.insert(command.end(), {"--out", files.answer, "--parent", std::to_string(::getpid()),
                                 "--arguments-from-stdin"});
  ASSIGN_OR_RETURN(const std::string input, JoinArguments(job_arguments));
  ASSIGN_OR_RETURN(const ChildResult ended, RunChild(command, files.output, time_limit_, input));
  if (ended.timed_out) {
    return absl::DeadlineExceededError(
        StrCat("the job library did not build its graph within ", absl::FormatDuration(time_limit_),
               " and was stopped; Build must only describe the job, not run it",
               OutputTail(files.output)));
  }
  if (ended.signal != 0) {
    return absl::InvalidArgumentError(
        StrCat("the job library crashed while it built its graph: signal ", ended.signal, " (",
               strsignal(ended.signal), ")", OutputTail(files.output)));
  }
  if (ended.exit_code != 0) {
    const absl::StatusOr<std::string> answer = ReadWholeFile(files.answer);
    proto::BuildResult result;
    if (ended.exit_code == kExitFailed && answer.ok() && result.ParseFromString(*answer) &&
        !result.error().empty()) {
      return ErrorOfResult(result);
    }
    return absl::InvalidArgumentError(
        StrCat("the job library ended the builder while it built its graph: exit code ",
               ended.exit_code, OutputTail(files.output)));
  }
  absl::StatusOr<std::string> answer = ReadWholeFile(files.answer);
  if (answer.ok()) return answer;
  return absl::InvalidArgumentError(StrCat(
      "the job library ended the builder before it had built its graph", OutputTail(files.output)));
}

absl::StatusOr<BuiltJob> JobBuilder::Build(const BuildRequest& request) const {
  std::vector<std::string> arguments = {"--library",
                                        request.library,
                                        "--default-parallelism",
                                        StrCat(request.default_parallelism),
                                        "--max-parallelism",
                                        StrCat(request.max_parallelism)};
  if (!request.chaining) arguments.push_back("--no-chaining");
  if (!request.entry.empty()) arguments.insert(arguments.end(), {"--entry", request.entry});
  ASSIGN_OR_RETURN(const std::string answer, Run(std::move(arguments), request.arguments));
  proto::BuildResult result;
  if (!result.ParseFromString(answer)) {
    return absl::InternalError("the builder's answer is no BuildResult");
  }
  if (!result.error().empty()) return ErrorOfResult(result);
  BuiltJob job;
  ASSIGN_OR_RETURN(job.graph, ParseJobGraph(result.graph().SerializeAsString()));
  if (!result.files().empty()) {
    result.clear_graph();
    job.files = result.SerializeAsString();
  }
  return job;
}

absl::StatusOr<std::vector<JarEntry>> JobBuilder::List(const std::string& library) const {
  ASSIGN_OR_RETURN(const std::string answer, Run({"--library", library, "--list"}, {}));
  proto::JobListing listing;
  if (!listing.ParseFromString(answer)) {
    return absl::InternalError("the builder's answer is no JobListing");
  }
  std::vector<JarEntry> entries;
  for (const proto::ListedJob& job : listing.jobs()) {
    entries.push_back({job.name(), job.description()});
  }
  return entries;
}

}  // namespace weir
