#pragma once

#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "runtime/state/state_handle.h"

namespace weir::internal {

/// Calls `visit(key, value)` with the entries of an inline file. Stops at the first error and
/// returns it. Errors: kDataLoss.
[[nodiscard]] absl::Status ReadInlineFile(
    const StateFile& file,
    absl::FunctionRef<absl::Status(std::string_view key, std::string_view value)> visit);

/// Checks size and checksum. Errors: kDataLoss.
[[nodiscard]] absl::Status CheckInlineFile(const StateFile& file);

}  // namespace weir::internal
