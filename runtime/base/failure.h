#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace weir {

/// Who is to blame for a failure: what the user wrote, or machines and processes.
enum class FailureOrigin : uint8_t { kUnknown = 0, kUser = 1, kSystem = 2 };

/// What people and tools read of a failure beside its message.
struct Failure {
  FailureOrigin origin = FailureOrigin::kUnknown;
  /// A C++ type, a signal, or the name of a status code.
  std::string exception_name;
};

/// Notes in `status`, which is an error, where it came from. It does not survive a change of the
/// message but by WithMessage.
void SetFailure(FailureOrigin origin, std::string_view exception_name, absl::Status* status);

/// Returns what SetFailure noted, else what follows from the code.
[[nodiscard]] Failure DescribeFailure(const absl::Status& status);

/// Returns `status` with another message.
[[nodiscard]] absl::Status WithMessage(const absl::Status& status, std::string_view message);

/// Returns the failure of user code whose exception is being handled: kInternal with `message`,
/// named by the exception's type. To be called in a catch block.
[[nodiscard]] absl::Status ThrownByUserCode(std::string_view message);

/// Returns the origin's name in failure labels: "USER", "SYSTEM" or "UNKNOWN".
[[nodiscard]] std::string_view FailureOriginName(FailureOrigin origin);

}  // namespace weir
