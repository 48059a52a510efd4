#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace weir {

/// What a server answered.
struct RestAnswer {
  int status = 0;
  std::string body;
  /// Where to ask instead, if the status says so.
  std::string location = {};
};

/// Returns the body of a 2xx answer; else the errors that it lists, with the code that fits its
/// status (see RestClient).
[[nodiscard]] absl::StatusOr<std::string> BodyOrError(RestAnswer answer);

}  // namespace weir
