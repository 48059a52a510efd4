#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/memory_budget.h"
#include "runtime/state/state_handle.h"

namespace weir::internal {

class ExpiryRules;

/// The one place that knows RocksDB: sorted files of state on the local disk, as the base that
/// incremental snapshots build on.
///
/// It has no log. Snapshots come as whole sorted files, which are ingested; entries that memory has
/// no room for come in small batches. What a crash leaves behind is of no use; checkpoints are what
/// counts. Files never change once they are listed, and their names are not used twice.
/// Lifecycle: owns its folder, and removes it when destroyed. Threads: any. All methods block.
class StateDatabase {
 public:
  /// Writes one sorted file for Ingest.
  class FileWriter {
   public:
    virtual ~FileWriter() = default;
    /// Keys must rise. Errors: those of the disk.
    [[nodiscard]] virtual absl::Status Put(std::string_view key, std::string_view value) = 0;
    [[nodiscard]] virtual absl::Status Delete(std::string_view key) = 0;
  };

  /// Changes that are written together.
  class WriteBatch {
   public:
    virtual ~WriteBatch() = default;
    virtual void Put(std::string_view key, std::string_view value) = 0;
    virtual void Delete(std::string_view key) = 0;
  };

  /// Opens an empty database in `directory`, which must not hold one. What has expired by
  /// `expiry_rules`, which may be null, goes whenever files are compacted. Caches and write buffers
  /// charge `budget`, which is borrowed and may be null.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<StateDatabase>> Create(
      const std::string& directory, std::shared_ptr<const ExpiryRules> expiry_rules,
      MemoryBudget* budget = nullptr);
  /// Opens a database in `directory` that consists of `files`, whose copies in `source_directory`
  /// have their local names and are moved or linked. Errors: kDataLoss if they cannot be read.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<StateDatabase>> Import(
      const std::string& directory, const std::string& source_directory,
      const std::vector<StateFile>& files, std::shared_ptr<const ExpiryRules> expiry_rules,
      MemoryBudget* budget = nullptr);

  virtual ~StateDatabase() = default;

  [[nodiscard]] virtual absl::StatusOr<std::unique_ptr<FileWriter>> NewFile() = 0;
  /// Adds what `file` holds over what is there. An empty file adds nothing.
  [[nodiscard]] virtual absl::Status Ingest(std::unique_ptr<FileWriter> file) = 0;

  [[nodiscard]] virtual std::unique_ptr<WriteBatch> NewBatch() = 0;
  /// Adds the batch over what is there and empties it.
  [[nodiscard]] virtual absl::Status Write(WriteBatch& batch) = 0;
  /// Puts what batches have added into files, so that VisitLiveFiles tells of it.
  [[nodiscard]] virtual absl::Status Flush() = 0;

  /// Rewrites all files without what was replaced, erased or has expired.
  [[nodiscard]] virtual absl::Status Compact() = 0;

  /// Calls `read(value)` if there is an entry, and returns whether there is.
  [[nodiscard]] virtual absl::StatusOr<bool> Get(
      std::string_view key, absl::FunctionRef<void(std::string_view value)> read) = 0;

  /// A range of keys, from `begin` up to, not including, `end`.
  struct KeyRange {
    std::string begin;
    std::string end;
  };
  /// Returns about how many bytes of files the entries of `ranges` take together.
  [[nodiscard]] virtual uint64_t ApproximateBytes(const std::vector<KeyRange>& ranges) = 0;

  /// Calls `visit(file, path)` with each file that the database consists of, newest data last;
  /// `file` has no path and checksum. No file is deleted meanwhile; `listed()` is called before the
  /// first one, when what is added is no longer part of them. Stops at the first error and returns
  /// it.
  [[nodiscard]] virtual absl::Status VisitLiveFiles(
      absl::FunctionRef<void()> listed,
      absl::FunctionRef<absl::Status(const StateFile& file, const std::string& path)> visit) = 0;

  /// Calls `visit(key, value)` with each entry from `begin` up to, not including, `end`, in order.
  /// Stops at the first error and returns it. Errors: kDataLoss.
  [[nodiscard]] virtual absl::Status ForEach(
      std::string_view begin, std::string_view end,
      absl::FunctionRef<absl::Status(std::string_view key, std::string_view value)> visit) = 0;
};

}  // namespace weir::internal
