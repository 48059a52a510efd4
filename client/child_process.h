#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace weir {

/// A program that runs as our child and dies with us, however we end.
///
/// It is started through this executable itself (see RunSupervised), because a process can ask for
/// its death with its parent's only from inside. It leads a process group of its own, so that
/// Ctrl-C reaches us alone and we end things in order. Threads: all calls from the thread that
/// spawned it; that thread's end counts as the parent's.
class ChildProcess {
 public:
  /// Starts `command`, whose first word is the program's path. stdin is empty; stderr is appended
  /// to `log_file`, and stdout too, unless `output` is a descriptor to write it to. Errors:
  /// kUnavailable.
  [[nodiscard]] static absl::StatusOr<ChildProcess> Spawn(const std::vector<std::string>& command,
                                                          const std::string& log_file,
                                                          int output = -1);

  [[nodiscard]] pid_t pid() const { return pid_; }
  /// Returns how it ended ("exit code 1", "signal 9 (Killed)"), or nothing while it runs.
  [[nodiscard]] const std::optional<std::string>& Poll();
  /// Returns whether it ended of itself with exit code 0. After Poll.
  [[nodiscard]] bool succeeded() const { return succeeded_; }
  /// Sends a signal, if it still runs.
  void Signal(int signal);

 private:
  explicit ChildProcess(pid_t pid) : pid_(pid) {}

  pid_t pid_;
  std::optional<std::string> ended_;
  bool succeeded_ = false;
};

/// First argument of this executable when it only starts a child, see RunSupervised.
inline constexpr const char* kSupervisedArgument = "--supervised-child";

/// Becomes the program of `arguments` ("--supervised-child", the parent's process id, the program's
/// path, its arguments). Returns an exit code if that fails.
int RunSupervised(int argc, char** argv);

}  // namespace weir
