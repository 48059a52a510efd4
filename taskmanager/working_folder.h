#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace weir {

/// A process's folder for what it needs on the local disk while it runs. Removed at the end; what a
/// killed process left is removed by the next one that makes a folder in the same place (a lock
/// file tells whose owner is gone).
class WorkingFolder {
 public:
  /// Makes a fresh folder in `parent`; an empty one is the system's place for temporary files.
  /// Errors: kUnavailable.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<WorkingFolder>> Create(
      const std::string& parent);
  /// Removes the folder and all in it.
  ~WorkingFolder();
  WorkingFolder(const WorkingFolder&) = delete;
  WorkingFolder& operator=(const WorkingFolder&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  WorkingFolder(std::string path, int lock_descriptor);

  const std::string path_;
  const int lock_descriptor_;
};

}  // namespace weir
