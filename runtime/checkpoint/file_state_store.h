#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/state/state_file_store.h"

namespace weir {

/// Keeps state files in a folder that all TaskManagers see. A file's path is the folder's and its
/// name, so that a checkpoint may refer to files of several folders.
///
/// A file is hard-linked where the folder is on the same file system, else copied under a temporary
/// name, synchronised and renamed. Threads: any; methods block.
class FileStateStore final : public StateFileStore {
 public:
  /// Whether a stored file may share its bytes on the disk with the local one.
  enum class Sharing : uint8_t { kLinkWherePossible, kCopy };

  /// `directory` is made when the first file is stored. `name_prefix` begins every name; it says
  /// whose files they are (job, uid, attempt). A random id makes each name unique.
  FileStateStore(std::string directory, std::string name_prefix,
                 Sharing sharing = Sharing::kLinkWherePossible);

  [[nodiscard]] absl::StatusOr<StoredFile> Store(const std::string& local_path,
                                                 const std::string& suggested_name) override;
  /// A file that is not under its path any more, because a snapshot was moved, is taken from the
  /// store's own folder if one there has its content and the part of its name behind the last '-'.
  [[nodiscard]] absl::Status Fetch(const StoredFile& file, const std::string& local_path) override;
  [[nodiscard]] absl::Status Delete(const std::string& path) override;

  /// Reads a stored file where it lies. Errors: those of Fetch.
  [[nodiscard]] static absl::Status Verify(const StoredFile& file);

 private:
  [[nodiscard]] StoredFile Find(const StoredFile& file) const;

  const std::string directory_;
  const std::string name_prefix_;
  const Sharing sharing_;
};

}  // namespace weir
