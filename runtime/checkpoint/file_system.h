#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace weir {

/// How much a file holds, and what. Plain data.
struct FileContent {
  uint64_t size_bytes = 0;
  uint64_t checksum = 0;  ///< XXH3_64.

  friend bool operator==(const FileContent&, const FileContent&) = default;
};

/// One entry of a folder. Plain data.
struct FileEntry {
  std::string name;  ///< Without the folder.
  bool is_folder = false;

  friend bool operator==(const FileEntry&, const FileEntry&) = default;
};

/// Whether a copy may share its bytes on the disk with the original.
enum class FileSharing : uint8_t { kLinkWherePossible, kCopy };

/// Whether a file has to be there after a power failure once it was written. Object stores always
/// see to it.
enum class FileDurability : uint8_t { kDurable, kScratch };

/// What becomes of a file that is there already.
enum class FileWriteMode : uint8_t {
  kReplace,
  kCreateNew,  ///< It stays, and the writer gets kAlreadyExists.
};

/// A place for the files of checkpoints, savepoints and jobs: folders (FolderFileSystem) or an
/// object store (S3FileSystem). Both keep to one contract
/// (tests/runtime/checkpoint/file_system_contract_test.cc).
///
/// A file is seen whole or not at all: what was begun and not committed is in no listing and cannot
/// be read. Folders need not be made; whether an empty one exists depends on the kind. Paths are
/// normalized ones (NormalizedPath).
///
/// Threads: any. All methods block: called on an I/O pool, never from a step.
/// Errors of all: kUnavailable if the place does not answer, or not in time; kResourceExhausted if
/// it is full; kPermissionDenied, kFailedPrecondition if it cannot be used as it is set up. They
/// name the path and what would mend it.
class FileSystem {
 public:
  /// Reads one file from its beginning to its end.
  class Reader {
   public:
    virtual ~Reader() = default;
    /// Returns the next bytes, good until the next call; none at the end.
    [[nodiscard]] virtual absl::StatusOr<std::string_view> Next() = 0;
  };

  /// Writes one file. Destroyed without a Commit that succeeded, it leaves nothing.
  class Writer {
   public:
    virtual ~Writer() = default;
    [[nodiscard]] virtual absl::Status Append(std::string_view bytes) = 0;
    /// Makes the file visible. Called once, at the end. Errors: kAlreadyExists.
    [[nodiscard]] virtual absl::Status Commit() = 0;
  };

  virtual ~FileSystem() = default;

  /// Errors: kNotFound.
  [[nodiscard]] virtual absl::StatusOr<std::unique_ptr<Reader>> OpenReader(
      const std::string& path) = 0;
  [[nodiscard]] virtual absl::StatusOr<std::unique_ptr<Writer>> OpenWriter(
      const std::string& path, FileWriteMode mode, FileDurability durability) = 0;

  /// Makes `to`, which must not exist, a copy of `from` without passing on its bytes. Errors:
  /// kUnimplemented where that is not possible: then the bytes have to be copied; kNotFound.
  [[nodiscard]] virtual absl::Status Link(const std::string& from, const std::string& to,
                                          FileDurability durability) = 0;

  /// Returns `size` bytes from `offset` on, fewer if the file ends before. Errors: kNotFound.
  [[nodiscard]] virtual absl::StatusOr<std::string> ReadRange(const std::string& path,
                                                              uint64_t offset, uint64_t size) = 0;
  /// Returns the size in bytes. Errors: kNotFound.
  [[nodiscard]] virtual absl::StatusOr<uint64_t> Size(const std::string& path) = 0;

  /// Returns what is directly in `folder`, by name, each once; nothing if there is no such folder.
  [[nodiscard]] virtual absl::StatusOr<std::vector<FileEntry>> List(const std::string& folder) = 0;

  /// Deletes files; those that are not there are no error. Goes on after an error, and returns the
  /// first.
  [[nodiscard]] virtual absl::Status Delete(const std::vector<std::string>& paths) = 0;
  /// Deletes a folder and all in it.
  [[nodiscard]] virtual absl::Status DeleteFolder(const std::string& folder) = 0;
  /// Deletes a folder unless there is something in it.
  virtual void DeleteFolderIfEmpty(const std::string& folder) = 0;

  /// Gives up what writers that will not return (of processes that died) have begun directly in
  /// `folder`; returns how many. A writer that does return fails.
  [[nodiscard]] virtual absl::StatusOr<size_t> DeleteUnfinished(const std::string& folder) = 0;
};

/// Returns `path` as the one way to write it: a folder's absolutely, without a `file:` scheme, "."
/// and ".."; an object store's as "s3://bucket/key" (s3a:// and s3p:// are other names of the
/// same). No '/' at the end.
[[nodiscard]] std::string NormalizedPath(std::string_view path);
/// Whether a normalized path leads to an object store.
[[nodiscard]] bool IsObjectPath(std::string_view path);
/// Whether a path in a snapshot's metadata is absolute, and not relative to the metadata's folder.
[[nodiscard]] bool IsAbsolutePath(std::string_view path);
/// Returns the part of a normalized path in front of its last '/', and the one behind it.
[[nodiscard]] std::string ParentFolder(std::string_view path);
[[nodiscard]] std::string FileName(std::string_view path);

}  // namespace weir
