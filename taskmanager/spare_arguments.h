#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace weir {

/// The rest of a spare process's command line, which its TaskManager sends once a job needs the
/// process (see JobProcesses). What comes on the socket behind it is left there.

/// Sends `arguments`. Does not wait: returns false if the process does not take them.
[[nodiscard]] bool SendArguments(int link, const std::vector<std::string>& arguments);

/// Blocks until they have come. Errors: kCancelled if the TaskManager has closed the socket, for no
/// job needs the process; kDataLoss for anything else.
[[nodiscard]] absl::StatusOr<std::vector<std::string>> ReceiveArguments(int link);

}  // namespace weir
