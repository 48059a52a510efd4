#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace weir {

/// How the files of a savepoint come to be. Both are self-contained, hold the same format and
/// restore alike.
enum class SavepointFormat : uint8_t {
  /// Every file is a copy: nothing that happens to the job's checkpoints reaches it.
  kCanonical,
  /// Files are hard links to those of the job's checkpoints where the file system can, else copies:
  /// quick, and no room is taken while the checkpoint has them too.
  kNative,
};

/// Returns Flink's name: "CANONICAL" or "NATIVE".
[[nodiscard]] std::string_view SavepointFormatName(SavepointFormat format);
/// Errors: kInvalidArgument naming the names there are. Case does not matter.
[[nodiscard]] absl::StatusOr<SavepointFormat> ParseSavepointFormat(std::string_view name);

/// What becomes of the job when its savepoint is complete.
enum class AfterSavepoint : uint8_t {
  kGoOn,
  kCancel,
  /// It ends FINISHED, with nothing emitted behind the savepoint and all output before committed.
  kStop,
  /// As kStop, and before the savepoint its input ends: timers fire and windows emit.
  kDrain,
};

[[nodiscard]] constexpr bool StopsJob(AfterSavepoint then) {
  return then == AfterSavepoint::kStop || then == AfterSavepoint::kDrain;
}

struct SavepointRequest {
  SavepointFormat format = SavepointFormat::kCanonical;
  /// The savepoint becomes a new folder in it.
  std::string target_directory = {};
  AfterSavepoint then = AfterSavepoint::kGoOn;
  /// By which the result is found under a later leader, too; empty: nobody will ask then.
  std::string operation_id = {};
};

/// Whom the snapshot belongs to that a job is restored from.
enum class ClaimMode : uint8_t {
  /// To the user: the job makes its own copy (of hard links, where it can) before it starts, and
  /// never touches the snapshot again.
  kNoClaim,
  /// To the job, which deletes it when its own checkpoints have made it superfluous.
  kClaim,
};

/// Returns Flink's name: "NO_CLAIM" or "CLAIM".
[[nodiscard]] std::string_view ClaimModeName(ClaimMode mode);
/// Errors: kInvalidArgument naming the names there are, and why there is no LEGACY. Case does not
/// matter.
[[nodiscard]] absl::StatusOr<ClaimMode> ParseClaimMode(std::string_view name);

}  // namespace weir
