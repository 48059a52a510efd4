#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace weir {

/// The folder that a cluster of this machine works in: a given one, or a temporary one that goes
/// with its owner. A lock in it keeps two clusters apart.
///
/// Threads: one. Below it: logs/ and tmp/, which is empty at the start.
class WorkFolder {
 public:
  /// `path` may be relative and need not exist; empty means a fresh folder in `parent`, or in the
  /// system's place for temporary files if that is empty too. Errors: kUnavailable if it cannot be
  /// made, kFailedPrecondition if another cluster works in it.
  [[nodiscard]] static absl::StatusOr<WorkFolder> Open(const std::string& path,
                                                       const std::string& parent);
  /// Removes tmp/, and all of it if it is temporary and not kept.
  ~WorkFolder();
  WorkFolder(WorkFolder&& other) noexcept;
  WorkFolder& operator=(WorkFolder&&) = delete;

  /// Keeps a temporary folder, for who wants to read the logs.
  void Keep() { temporary_ = false; }
  [[nodiscard]] bool temporary() const { return temporary_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string Below(std::string_view name) const;

 private:
  WorkFolder(std::string path, bool temporary) : path_(std::move(path)), temporary_(temporary) {}

  std::string path_;  // Absolute; empty once moved from.
  bool temporary_;
  int lock_ = -1;
};

}  // namespace weir
