#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace weir {

/// The name (see DescribeFailure) of the failure of a task whose data connection to a peer broke,
/// could not be made, or fell silent.
inline constexpr std::string_view kDataConnectionLost = "DataConnectionLost";

/// Returns a kUnavailable status of that name.
[[nodiscard]] absl::Status DataConnectionLostError(std::string_view message);

/// Whether `status` is one, so that the peer's process may be gone.
[[nodiscard]] bool IsDataConnectionLost(const absl::Status& status);

}  // namespace weir
