#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/config.h"
#include "runtime/checkpoint/file_system.h"

namespace weir {

/// The file systems that a process can reach, chosen by the path: `s3://...` is the object store's,
/// all others are folders.
///
/// Lifecycle: one for a process, made from its settings; shared by all who read or write files of
/// checkpoints. Threads, errors: as FileSystem's; besides, kInvalidArgument for a path of a kind
/// that there is not.
class FileSystems {
 public:
  /// `object_store` may be null.
  explicit FileSystems(std::unique_ptr<FileSystem> object_store);
  ~FileSystems();
  FileSystems(const FileSystems&) = delete;
  FileSystems& operator=(const FileSystems&) = delete;

  /// Folders, and the object store that the settings and the environment name; nothing is connected
  /// yet. Errors: kInvalidArgument for settings that do not go together.
  [[nodiscard]] static absl::StatusOr<std::shared_ptr<const FileSystems>> FromConfiguration(
      const Configuration& configuration);
  /// Folders only.
  [[nodiscard]] static std::shared_ptr<const FileSystems> Local();

  [[nodiscard]] absl::StatusOr<FileSystem*> Of(std::string_view path) const;

  /// Makes `to`, which must not exist, a copy of `from`, from and to any file system; returns what
  /// was read meanwhile. Leaves nothing behind if it fails. Errors: kNotFound.
  [[nodiscard]] absl::StatusOr<FileContent> Copy(
      const std::string& from, const std::string& to,
      FileSharing sharing = FileSharing::kLinkWherePossible,
      FileDurability durability = FileDurability::kDurable) const;
  /// Reads a file where it lies. Errors: kNotFound.
  [[nodiscard]] absl::StatusOr<FileContent> Examine(const std::string& path) const;

  /// Writes a whole file, durably. Errors: kAlreadyExists, with kCreateNew.
  [[nodiscard]] absl::Status Write(const std::string& path, std::string_view content,
                                   FileWriteMode mode = FileWriteMode::kReplace) const;
  /// Returns a whole file. Errors: kNotFound.
  [[nodiscard]] absl::StatusOr<std::string> Read(const std::string& path) const;

  // See FileSystem.
  [[nodiscard]] absl::StatusOr<uint64_t> Size(const std::string& path) const;
  [[nodiscard]] absl::StatusOr<std::vector<FileEntry>> List(const std::string& folder) const;
  [[nodiscard]] absl::Status Delete(const std::vector<std::string>& paths) const;
  [[nodiscard]] absl::Status DeleteFolder(const std::string& folder) const;
  void DeleteFolderIfEmpty(const std::string& folder) const;
  [[nodiscard]] absl::StatusOr<size_t> DeleteUnfinished(const std::string& folder) const;

 private:
  const std::unique_ptr<FileSystem> folders_;
  const std::unique_ptr<FileSystem> object_store_;
};

}  // namespace weir
