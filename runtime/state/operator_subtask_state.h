#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/state/channel_state_handle.h"
#include "runtime/state/operator_state.h"
#include "runtime/state/state_file_store.h"
#include "runtime/state/state_handle.h"

namespace weir {

/// All state of one operator in one subtask at one checkpoint. Plain data, written by Serde; to the
/// JobManager it is bytes.
struct OperatorSubtaskState {
  std::optional<KeyedStateHandle> keyed;
  std::optional<OperatorStateHandle> operator_state;
  /// Of the head of a task, in an unaligned checkpoint.
  std::optional<ChannelStateHandle> channel_state;
  /// Files that entries of the operator state refer to: kept as long as any checkpoint names them
  /// here. When state is dealt out anew, the entries alone say where their files are.
  std::vector<StoredFile> files;
};

}  // namespace weir
