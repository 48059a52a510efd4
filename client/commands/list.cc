#include <cstdio>

#include "client/commands/commands.h"
#include "client/commands/exit_code.h"
#include "client/text_table.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

absl::Duration Precision(absl::Duration duration) {
  return duration < absl::Seconds(10) ? absl::Milliseconds(1) : absl::Seconds(1);
}

}  // namespace

absl::StatusOr<int> List(const CommandContext& context, const ClusterClient& client) {
  if (context.line->json) {
    ASSIGN_OR_RETURN(const std::string json, client.rest().Get("/jobs/overview"));
    std::puts(json.c_str());
    return kExitDone;
  }
  ASSIGN_OR_RETURN(const std::vector<JobSummary> jobs, client.Jobs());
  if (jobs.empty()) {
    std::fprintf(stderr, "weir: no jobs\n");
    return kExitDone;
  }
  std::vector<std::vector<std::string>> rows = {
      {"JOB", "STATE", "STARTED", "DURATION", "TASKS", "NAME"}};
  for (const JobSummary& job : jobs) {
    rows.push_back({job.id, job.state,
                    absl::FormatTime("%Y-%m-%d %H:%M:%S", job.start, absl::LocalTimeZone()),
                    absl::FormatDuration(absl::Trunc(job.duration, Precision(job.duration))),
                    StrCat(job.running_tasks, "/", job.tasks), job.name});
  }
  std::fputs(FormatTable(rows).c_str(), stdout);
  return kExitDone;
}

}  // namespace weir
