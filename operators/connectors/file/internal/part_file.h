#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace weir::internal {

/// A file as a checkpoint knows it, and the name it is to get. Plain data.
struct PendingFile {
  std::string pending_path;
  std::string final_path;
  uint64_t size_bytes = 0;  ///< At the checkpoint.
  /// Whether the attempt at `attempt` went on writing it after the checkpoint.
  bool open = false;
  std::string attempt;
};

[[nodiscard]] std::string SerializePendingFile(const PendingFile& file);
/// Errors: kDataLoss.
[[nodiscard]] absl::StatusOr<PendingFile> ParsePendingFile(std::string_view bytes);

/// One part file while it is written. All methods block. Threads: one at a time.
class PartFile {
 public:
  /// Nothing is made before the first Append. Until its first Sync it is called `in_progress_path`,
  /// then `file.pending_path`: no checkpoint refers to the former.
  PartFile(std::string in_progress_path, PendingFile file);
  /// Removes the file unless it has been synced.
  ~PartFile();
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  /// Errors: kResourceExhausted if the disk is full; kPermissionDenied; kInternal. All name the
  /// file.
  [[nodiscard]] absl::Status Append(std::string_view block);
  /// Puts what is there on the disk, under its pending name. Then it goes on, or has ended.
  [[nodiscard]] absl::StatusOr<PendingFile> Sync(bool end);

 private:
  const std::string in_progress_path_;
  PendingFile file_;
  int descriptor_ = -1;
  bool made_ = false;
  bool renamed_ = false;
};

/// Returns `errno` as a status that says `what` of `path`.
[[nodiscard]] absl::Status FileError(std::string_view what, const std::string& path);

/// Puts the names in `folder` on the disk. Blocks.
[[nodiscard]] absl::Status SyncFolder(const std::string& folder);

}  // namespace weir::internal
