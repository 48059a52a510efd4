#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "operators/api/sink.h"
#include "operators/connectors/internal/sink_io_queue.h"
#include "operators/connectors/sqlite/sqlite_table.h"

namespace weir::internal {

class SqliteDatabase;

/// Upserts the rows of one subtask, many in a transaction. Threads: within the task's steps; the
/// database is used on the I/O pool.
class SqliteWriter {
 public:
  /// Opens the database and checks the table. Blocks.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<SqliteWriter>> Create(
      SinkContext& context, const SqliteSinkOptions& options);
  ~SqliteWriter();
  SqliteWriter(const SqliteWriter&) = delete;
  SqliteWriter& operator=(const SqliteWriter&) = delete;

  [[nodiscard]] bool Ready() const { return queue_->HasRoom(); }
  /// Moves the values out of `row`. Errors: kInvalidArgument if it has not one per column.
  [[nodiscard]] absl::Status Append(std::vector<SqliteValue>& row);
  [[nodiscard]] absl::Status Flush();
  /// Its function returns once all rows so far are on the disk; there is nothing to commit later.
  [[nodiscard]] absl::StatusOr<PrepareCommit> BeginCommit();
  void Close();

 private:
  // Rows that no transaction has taken yet: one that begins takes them all.
  struct WaitingRows;

  SqliteWriter(std::shared_ptr<SqliteDatabase> database, std::shared_ptr<SinkIoQueue> queue,
               size_t num_columns);

  const std::shared_ptr<SqliteDatabase> database_;
  const std::shared_ptr<SinkIoQueue> queue_;
  const std::shared_ptr<WaitingRows> waiting_;
  const size_t num_columns_;
  std::vector<SqliteValue> values_;  // Of whole rows, one after another.
  size_t bytes_ = 0;
};

}  // namespace weir::internal
