#pragma once

#include <functional>
#include <string_view>

#include "absl/status/statusor.h"
#include "client/command_line.h"
#include "runtime/base/config.h"

namespace weir {

/// `weir state`: prints what a checkpoint or savepoint holds, or checks it, by `print`. Needs no
/// cluster and none of the job's code: values are printed by the schemas that the snapshot carries.
/// `configuration` says where s3:// paths lead. Blocks. Returns the process's exit code.
/// Errors: kDataLoss, naming the file, if something that is needed is damaged; kNotFound, naming
/// what there is, for an operator or a state that is not in the snapshot; kInvalidArgument for a
/// key that is no JSON.
[[nodiscard]] absl::StatusOr<int> InspectState(
    const StateCommand& command, bool json, const Configuration& configuration,
    const std::function<void(std::string_view text)>& print);

}  // namespace weir
