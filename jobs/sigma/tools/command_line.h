#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "jobs/sigma/tools/commands.h"

namespace weir::sigma {

/// Understands the arguments of `weir sigma`, without the words `weir sigma`. Errors:
/// kInvalidArgument naming what is wrong and, for an unknown option or command, the nearest one.
[[nodiscard]] absl::StatusOr<Command> ParseSigmaCommandLine(std::vector<std::string> arguments);

/// Returns the help of every command, one after the other, as Markdown for the reference.
[[nodiscard]] std::string SigmaCommandLineReference();

}  // namespace weir::sigma
