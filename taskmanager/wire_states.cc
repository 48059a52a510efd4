#include "taskmanager/wire_states.h"

namespace weir {

proto::TaskState ToProto(TaskState state) {
  switch (state) {
    case TaskState::kDeploying:
      return proto::DEPLOYING;
    case TaskState::kInitializing:
      return proto::INITIALIZING;
    case TaskState::kRunning:
      return proto::RUNNING;
    case TaskState::kFinished:
      return proto::FINISHED;
    case TaskState::kCanceling:
      return proto::CANCELING;
    case TaskState::kCanceled:
      return proto::CANCELED;
    case TaskState::kFailed:
      return proto::FAILED;
  }
  return proto::FAILED;
}

}  // namespace weir
