// Jobs that do what no job should, for tests: each harms only who submits it.

#include <csignal>
#include <stdexcept>

#include "operators/api/job.h"

namespace {

absl::Status Crash(weir::StreamEnvironment&, const weir::JobArgs&) {
  std::raise(SIGSEGV);
  return absl::OkStatus();
}

absl::Status Loop(weir::StreamEnvironment&, const weir::JobArgs&) {
  volatile bool forever = true;
  while (forever) {
  }
  return absl::OkStatus();
}

absl::Status Throw(weir::StreamEnvironment&, const weir::JobArgs&) {
  throw std::runtime_error("thrown on purpose");
}

absl::Status Refuse(weir::StreamEnvironment&, const weir::JobArgs&) {
  return absl::FailedPreconditionError("refused on purpose");
}

}  // namespace

WEIR_JOB("crash", "Crashes while it builds", Crash);
WEIR_JOB("loop", "Never ends building", Loop);
WEIR_JOB("throw", "Throws while it builds", Throw);
WEIR_JOB("refuse", "Returns an error", Refuse);
