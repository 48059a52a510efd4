#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/checkpoint/file_system.h"

namespace weir {

/// Folders of the operating system: a local disk, or one that several hosts share.
///
/// A file is written aside, under a name that ends in ".<random id>.tmp", synchronised and renamed.
class FolderFileSystem final : public FileSystem {
 public:
  [[nodiscard]] absl::StatusOr<std::unique_ptr<Reader>> OpenReader(
      const std::string& path) override;
  [[nodiscard]] absl::StatusOr<std::unique_ptr<Writer>> OpenWriter(
      const std::string& path, FileWriteMode mode, FileDurability durability) override;
  /// Makes a hard link.
  [[nodiscard]] absl::Status Link(const std::string& from, const std::string& to,
                                  FileDurability durability) override;
  [[nodiscard]] absl::StatusOr<std::string> ReadRange(const std::string& path, uint64_t offset,
                                                      uint64_t size) override;
  [[nodiscard]] absl::StatusOr<uint64_t> Size(const std::string& path) override;
  [[nodiscard]] absl::StatusOr<std::vector<FileEntry>> List(const std::string& folder) override;
  [[nodiscard]] absl::Status Delete(const std::vector<std::string>& paths) override;
  [[nodiscard]] absl::Status DeleteFolder(const std::string& folder) override;
  void DeleteFolderIfEmpty(const std::string& folder) override;
  [[nodiscard]] absl::StatusOr<size_t> DeleteUnfinished(const std::string& folder) override;
};

}  // namespace weir
