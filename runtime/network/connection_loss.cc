#include "runtime/network/connection_loss.h"

#include "runtime/base/failure.h"
#include "runtime/base/strings.h"

namespace weir {

absl::Status DataConnectionLostError(std::string_view message) {
  absl::Status lost = absl::UnavailableError(ToAbsl(message));
  SetFailure(FailureOrigin::kSystem, kDataConnectionLost, &lost);
  return lost;
}

bool IsDataConnectionLost(const absl::Status& status) {
  return !status.ok() && DescribeFailure(status).exception_name == kDataConnectionLost;
}

}  // namespace weir
