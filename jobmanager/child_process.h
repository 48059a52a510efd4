#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace weir {

/// How a child process ended.
struct ChildResult {
  /// Its exit code, if no signal ended it.
  int exit_code = 0;
  /// The signal that ended it, or 0.
  int signal = 0;
  /// It was killed because its time was up.
  bool timed_out = false;
};

/// Runs a program (posix_spawn, in a process group of its own) and waits until it has ended; kills
/// it with all of its group after `time_limit`. stdin holds `input`, of any size, which no other
/// user of the machine can read, unlike `command`; stdout and stderr go to the file `output`.
/// Blocks. Errors: kUnavailable if it cannot be started.
[[nodiscard]] absl::StatusOr<ChildResult> RunChild(const std::vector<std::string>& command,
                                                   const std::string& output,
                                                   absl::Duration time_limit,
                                                   std::string_view input = {});

}  // namespace weir
