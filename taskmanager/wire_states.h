#pragma once

#include "proto/control_plane.pb.h"
#include "runtime/task/task.h"

namespace weir {

/// Returns the state as messages name it.
[[nodiscard]] proto::TaskState ToProto(TaskState state);

}  // namespace weir
