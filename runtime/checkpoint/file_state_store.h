#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/checkpoint/file_system.h"
#include "runtime/checkpoint/file_systems.h"
#include "runtime/state/state_file_store.h"

namespace weir {

/// Keeps state files in a folder that all TaskManagers reach, of any file system. A file's path is
/// the folder's and its name, so that a checkpoint may refer to files of several folders.
///
/// Threads: any; methods block.
class FileStateStore final : public StateFileStore {
 public:
  /// `name_prefix` begins every name; it says whose files they are (job, uid,
  /// attempt). A random id makes each name unique. With kLinkWherePossible
  /// a stored file may share its bytes on the disk with the local one.
  FileStateStore(std::string directory, std::string name_prefix,
                 FileSharing sharing = FileSharing::kLinkWherePossible,
                 std::shared_ptr<const FileSystems> file_systems = FileSystems::Local());

  [[nodiscard]] absl::StatusOr<StoredFile> Store(const std::string& local_path,
                                                 const std::string& suggested_name) override;
  /// A file that is not under its path any more, because a snapshot was moved, is taken from the
  /// store's own folder if one there has its content and the part of its name behind the last '-'.
  [[nodiscard]] absl::Status Fetch(const StoredFile& file, const std::string& local_path) override;
  [[nodiscard]] absl::Status Delete(const std::string& path) override;

  /// Reads a stored file where it lies. Errors: those of Fetch.
  [[nodiscard]] absl::Status Verify(const StoredFile& file) const;

 private:
  [[nodiscard]] absl::Status FetchFrom(const StoredFile& file, const std::string& local_path);
  [[nodiscard]] absl::StatusOr<StoredFile> FindMoved(const StoredFile& file) const;

  const std::string directory_;
  const std::string name_prefix_;
  const FileSharing sharing_;
  const std::shared_ptr<const FileSystems> file_systems_;
};

}  // namespace weir
