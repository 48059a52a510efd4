#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace weir::internal {

/// A finished file that waits for its checkpoint, and the name it gets then.
struct PendingFile {
  std::string pending_path;
  std::string final_path;
  uint64_t size_bytes = 0;
};

[[nodiscard]] std::string SerializePendingFile(const PendingFile& file);
/// Errors: kDataLoss.
[[nodiscard]] absl::StatusOr<PendingFile> ParsePendingFile(std::string_view bytes);

/// The file of one epoch while it is written. All methods block. Threads: one at a time.
class EpochFile {
 public:
  /// Nothing is made before the first Append.
  EpochFile(std::string in_progress_path, std::string pending_path, std::string final_path);
  /// Removes the file unless it was finished.
  ~EpochFile();
  EpochFile(const EpochFile&) = delete;
  EpochFile& operator=(const EpochFile&) = delete;

  /// Errors: kResourceExhausted if the disk is full; kPermissionDenied; kInternal. All name the
  /// file.
  [[nodiscard]] absl::Status Append(std::string_view block);
  /// Puts the file on the disk, under its pending name.
  [[nodiscard]] absl::StatusOr<PendingFile> Finish();

 private:
  const std::string in_progress_path_;
  PendingFile pending_;
  int descriptor_ = -1;
  bool made_ = false;
  bool finished_ = false;
};

/// Returns `errno` as a status that says `what` of `path`.
[[nodiscard]] absl::Status FileError(std::string_view what, const std::string& path);

/// Puts the names in `folder` on the disk. Blocks.
[[nodiscard]] absl::Status SyncFolder(const std::string& folder);

}  // namespace weir::internal
