#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace weir {

/// A file of our own under construction, which is gone when its owner is. Used for uploads, so that
/// a client that vanishes half-way leaves nothing behind. Not thread-safe.
class TemporaryFile {
 public:
  /// Creates an empty file with a name of its own in the existing folder `directory`, readable by
  /// this user only. Errors: kUnavailable with the system's reason.
  [[nodiscard]] static absl::StatusOr<TemporaryFile> Create(std::string_view directory);

  TemporaryFile(TemporaryFile&& other) noexcept;
  TemporaryFile& operator=(TemporaryFile&& other) noexcept;
  ~TemporaryFile();

  /// Appends; blocks for as long as the disk takes. Errors: kResourceExhausted when it is full,
  /// else kUnavailable.
  [[nodiscard]] absl::Status Append(std::string_view bytes);
  /// Closes the file; only then may others read it. Errors: as Append.
  [[nodiscard]] absl::Status Close();

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  TemporaryFile(std::string path, int descriptor);
  void Remove();

  std::string path_;  // Empty once moved from.
  int descriptor_ = -1;
};

}  // namespace weir
