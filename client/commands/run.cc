#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "client/commands/commands.h"
#include "client/commands/exit_code.h"
#include "client/settings.h"
#include "runtime/base/clock.h"
#include "runtime/base/json_writer.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"

namespace weir {
namespace {

constexpr absl::Duration kFirstPause = absl::Milliseconds(20);
constexpr absl::Duration kLongestPause = absl::Milliseconds(250);
/// How long a JobManager that does not answer is asked again before the wait is given up.
constexpr absl::Duration kPatience = absl::Seconds(60);

bool IsTerminal(std::string_view state) {
  return state == "FINISHED" || state == "FAILED" || state == "CANCELED";
}

bool MayPass(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

bool IsLibraryPath(const std::string& text) {
  std::error_code error;
  return text.find('/') != text.npos || text.ends_with(".so") ||
         std::filesystem::is_regular_file(text, error);
}

absl::StatusOr<JobSubmission> Locate(const ClusterClient& client, const RunCommand& command) {
  if (IsLibraryPath(command.job)) {
    ASSIGN_OR_RETURN(std::string id, client.Upload(command.job));
    return JobSubmission{.library_id = std::move(id)};
  }
  ASSIGN_OR_RETURN(const std::vector<JobLibraryStatus> libraries, client.Libraries());
  return FindJob(libraries, command.job);
}

/// Whether `name` is one of `patterns`, or begins as one that ends in *.
bool IsAskedFor(std::string_view name, const std::vector<std::string>& patterns) {
  return std::any_of(patterns.begin(), patterns.end(), [&](std::string_view pattern) {
    if (!pattern.ends_with('*')) return name == pattern;
    return name.starts_with(pattern.substr(0, pattern.size() - 1));
  });
}

/// Returns the variables asked for, a line each; those whose values have lines cannot be told.
std::string EnvironmentLines(const std::vector<std::string>& patterns) {
  std::string lines;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    const std::string_view text(*variable);
    if (text.find('\n') != text.npos || !IsAskedFor(text.substr(0, text.find('=')), patterns))
      continue;
    StrAppend(&lines, text, "\n");
  }
  return lines;
}

absl::StatusOr<JobSubmission> MakeSubmission(const CommandContext& context,
                                             const ClusterClient& client,
                                             const RunCommand& command) {
  ASSIGN_OR_RETURN(JobSubmission submission, Locate(client, command));
  if (!command.entry.empty()) submission.entry = command.entry;
  submission.parallelism = command.parallelism;
  submission.settings = JobSettings(context.line->sources);
  if (!command.name.empty()) submission.settings[std::string(kPipelineName.key)] = command.name;
  submission.savepoint_path = PathForCluster(command.from_savepoint);
  submission.allow_non_restored_state = command.allow_non_restored_state;
  submission.claim_mode = command.claim_mode;
  submission.arguments = command.arguments;
  if (!command.environment.empty()) {
    submission.arguments.push_back(StrCat("--environment=", EnvironmentLines(command.environment)));
  }
  const bool has_folder =
      std::any_of(command.arguments.begin(), command.arguments.end(),
                  [](const std::string& text) { return text.starts_with("--working-directory"); });
  std::error_code error;
  const std::string folder = std::filesystem::current_path(error).string();
  if (!has_folder && !error) {
    submission.arguments.insert(submission.arguments.begin(), {"--working-directory", folder});
  }
  return submission;
}

/// Tells on stderr how a job fares: a line that is written over on a terminal, else a line for each
/// state.
class ProgressLine {
 public:
  explicit ProgressLine(std::string job_id)
      : job_id_(std::move(job_id)), terminal_(isatty(STDERR_FILENO) == 1) {}

  void Show(const JobProgress& progress) {
    if (terminal_) {
      std::fprintf(stderr, "\r\033[K%s  %s  %s  %lld/%lld tasks running  %lld records",
                   progress.name.c_str(), progress.state.c_str(),
                   absl::FormatDuration(absl::Trunc(progress.duration, absl::Seconds(1))).c_str(),
                   static_cast<long long>(progress.running_tasks),
                   static_cast<long long>(progress.tasks),
                   static_cast<long long>(progress.records));
      std::fflush(stderr);
    } else if (progress.state != shown_) {
      std::fprintf(stderr, "weir: job %s (%s) is %s\n", job_id_.c_str(), progress.name.c_str(),
                   progress.state.c_str());
    }
    shown_ = progress.state;
  }

  void Say(const std::string& text) {
    std::fprintf(stderr, "%sweir: %s\n", terminal_ ? "\r\033[K" : "", text.c_str());
  }

 private:
  const std::string job_id_;
  const bool terminal_;
  std::string shown_;
};

/// Waits for the end of one job.
class JobWait {
 public:
  JobWait(const ClusterClient& client, std::string job_id, OnInterrupt on_interrupt,
          SignalWaiter* signals)
      : client_(client),
        job_id_(job_id),
        on_interrupt_(on_interrupt),
        signals_(signals),
        line_(std::move(job_id)) {}

  /// Returns how the job ended, or an outcome without state if the user stopped waiting.
  absl::StatusOr<JobOutcome> Wait() {
    absl::Duration pause = kFirstPause;
    while (true) {
      const absl::StatusOr<JobProgress> progress = client_.Progress(job_id_);
      if (progress.ok()) {
        unanswered_.Restart();
        line_.Show(*progress);
        ReportFailures();
        if (IsTerminal(progress->state)) return Outcome();
      } else if (!MayPass(progress.status()) || unanswered_.Elapsed() > kPatience) {
        return progress.status();
      }
      const std::optional<int> signal = signals_->Wait(pause);
      if (signal.has_value() && AsksToEnd(*signal) && !GoesOnAfterInterrupt()) return JobOutcome{};
      pause = std::min(pause * 1.5, kLongestPause);
    }
  }

  void Say(const std::string& text) { line_.Say(text); }

 private:
  absl::StatusOr<JobOutcome> Outcome() {
    ASSIGN_OR_RETURN(JobOutcome outcome, client_.Outcome(job_id_));
    if (outcome.state.empty()) {
      return absl::InternalError("the job has ended, but the JobManager does not know how");
    }
    return outcome;
  }

  /// Shows each failure once, so that a job which is restarted again and again does not look busy.
  void ReportFailures() {
    const absl::StatusOr<std::vector<JobFailure>> failures = client_.Failures(job_id_, 1);
    if (!failures.ok() || failures->empty() || failures->front().time <= newest_failure_) return;
    newest_failure_ = failures->front().time;
    const std::string& task = failures->front().task;
    line_.Say(StrCat("failure", task.empty() ? "" : StrCat(" of ", task), ": ",
                     failures->front().message));
  }

  bool GoesOnAfterInterrupt() {
    if (on_interrupt_ == OnInterrupt::kDetach) {
      line_.Say(StrCat("the job goes on; cancel it with: weir cancel --rest ",
                       client_.rest().address(), " ", job_id_));
      return false;
    }
    if (std::exchange(interrupted_, true)) return false;
    line_.Say("cancelling the job; once more ends at once");
    const absl::Status status = client_.Cancel(job_id_);
    if (!status.ok()) line_.Say(status.ToString());
    return status.ok();
  }

  const ClusterClient& client_;
  const std::string job_id_;
  const OnInterrupt on_interrupt_;
  SignalWaiter* const signals_;
  ProgressLine line_;
  Stopwatch unanswered_;
  absl::Time newest_failure_ = absl::InfinitePast();
  bool interrupted_ = false;
};

int ExitCodeOf(const JobOutcome& outcome) {
  if (outcome.state == "FINISHED") return kExitDone;
  return outcome.state == "CANCELED" ? kExitCanceled : kExitFailed;
}

void PrintSubmitted(const std::string& job_id, bool as_json) {
  std::string text = job_id;
  if (as_json) {
    text.clear();
    JsonWriter(&text).BeginObject().Key("jobid").String(job_id).EndObject();
  }
  std::puts(text.c_str());
}

void PrintOutcome(const std::string& job_id, const JobOutcome& outcome) {
  std::string text;
  JsonWriter json(&text);
  json.BeginObject().Key("jobid").String(job_id).Key("state").String(outcome.state);
  json.Key("net-runtime").Int(absl::ToInt64Milliseconds(outcome.net_runtime));
  if (!outcome.failure.empty()) json.Key("failure").String(outcome.failure);
  json.EndObject();
  std::puts(text.c_str());
}

}  // namespace

absl::StatusOr<int> Run(const CommandContext& context, const ClusterClient& client,
                        const RunCommand& command, OnInterrupt on_interrupt,
                        SignalWaiter* signals) {
  ASSIGN_OR_RETURN(const JobSubmission submission, MakeSubmission(context, client, command));
  ASSIGN_OR_RETURN(const std::string job_id, client.Submit(submission));
  if (command.detached) {
    PrintSubmitted(job_id, context.line->json);
    return kExitDone;
  }
  JobWait wait(client, job_id, on_interrupt, signals);
  ASSIGN_OR_RETURN(const JobOutcome outcome, wait.Wait());
  if (outcome.state.empty()) return kExitInterrupted;
  if (context.line->json) PrintOutcome(job_id, outcome);
  wait.Say(StrCat("job ", job_id, " ", outcome.state, " after ",
                  absl::FormatDuration(outcome.net_runtime),
                  outcome.failure.empty() ? "" : StrCat(": ", outcome.failure)));
  return ExitCodeOf(outcome);
}

}  // namespace weir
