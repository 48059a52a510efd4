#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/ids.h"

namespace weir {

/// What a process that died of a signal has left in its crash file.
struct CrashReport {
  std::string task_manager_id;
  int64_t time_ms = 0;
  int64_t pid = 0;
  /// "SIGSEGV" and so on, or another name for the way it ended: "exit(3)", "OutOfMemory".
  std::string signal;
  /// Where it was: null ids and empty if it ran no user code.
  JobId job;
  ExecutionAttemptId attempt;
  std::string operator_name;
  std::string uid;
  uint32_t subtask = 0;
  uint32_t parallelism = 0;
  /// The whole file, with the stack's C++ names readable.
  std::string text;
};

/// Reads a crash file. Errors: kNotFound, kDataLoss if it is none.
[[nodiscard]] absl::StatusOr<CrashReport> ReadCrashFile(const std::string& path);

/// Returns the crash files in `folder` that nobody was told of, oldest first.
[[nodiscard]] std::vector<std::string> FindUnreportedCrashes(const std::string& folder);

/// Returns the crash file of that process, told of or not; empty if there is none.
[[nodiscard]] std::string FindCrashFile(const std::string& folder,
                                        const std::string& task_manager_id, int64_t pid);

/// Whether the JobManager knows of the crash.
[[nodiscard]] bool IsCrashReported(const std::string& path);

/// Notes that the JobManager knows of the crash. The newest of those files stay for people.
void MarkCrashReported(const std::string& path);

struct CrashHandlerOptions {
  /// Where the crash file is written; it must exist.
  std::string folder;
  std::string task_manager_id;
  /// Tells the JobManager while the process is about to die, within a second; returns whether that
  /// was done. Called on the handler's own thread; the process may be damaged.
  std::function<bool(const CrashReport&)> report;
};

/// Makes the process say where it was before it dies of SIGSEGV, SIGBUS, SIGFPE, SIGILL or SIGABRT,
/// or of a call of exit(): job, operator and stack, to stderr and to a file.
///
/// The signal's handler uses nothing that may lock or allocate, but for the search of frames and
/// their names, which come last; and a process that does not get through it ends within five
/// seconds. The thread that crashed then waits up to a second for `report` on a thread of its own.
/// If that does not work out, the next TaskManager that uses the folder reports the file.
/// One per process. Not with sanitizers, which have handlers of their own.
class CrashHandler {
 public:
  /// Errors: kFailedPrecondition if there is one already; kUnavailable.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<CrashHandler>> Install(
      CrashHandlerOptions options);
  /// Gives the signals back their default action.
  ~CrashHandler();
  CrashHandler(const CrashHandler&) = delete;
  CrashHandler& operator=(const CrashHandler&) = delete;

 private:
  explicit CrashHandler(CrashHandlerOptions options);
  void WaitForCrash() const;

  const CrashHandlerOptions options_;
  std::string path_;
  int crashed_[2] = {-1, -1};   // A pipe to the thread: 'c' for a crash, 'q' to end.
  int reported_[2] = {-1, -1};  // And back.
  std::jthread thread_;
};

}  // namespace weir
