#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "operators/api/sink.h"
#include "operators/connectors/sql_value.h"

namespace weir::internal {

class SinkIoQueue;
class UpsertTable;

/// Upserts the rows of one subtask, many in a transaction: one that begins takes all rows that
/// wait. Threads: within the task's steps; the table is used on the I/O pool.
class UpsertWriter {
 public:
  UpsertWriter(SinkContext& context, std::shared_ptr<UpsertTable> table, size_t num_columns,
               size_t max_buffered_bytes);
  ~UpsertWriter();
  UpsertWriter(const UpsertWriter&) = delete;
  UpsertWriter& operator=(const UpsertWriter&) = delete;

  [[nodiscard]] bool Ready() const;
  /// Moves the values out of `row`. Errors: kInvalidArgument if it has not one per column.
  [[nodiscard]] absl::Status Append(std::vector<SqlValue>& row);
  [[nodiscard]] absl::Status Flush();
  /// Its function returns once all rows so far are on the disk; there is nothing to commit later.
  [[nodiscard]] absl::StatusOr<PrepareCommit> BeginCommit();
  void Close();

 private:
  // Rows that no transaction has taken yet: one that begins takes them all.
  struct WaitingRows;

  const std::shared_ptr<UpsertTable> table_;
  const std::shared_ptr<SinkIoQueue> queue_;
  const std::shared_ptr<WaitingRows> waiting_;
  const size_t num_columns_;
  std::vector<SqlValue> values_;  // Of whole rows, one after another.
  size_t bytes_ = 0;
};

/// The writer of an upsert sink: binds records to rows.
template <class T>
class UpsertSinkWriter final : public SinkWriter<T> {
 public:
  /// Appends the record's values to `*row`, which is empty at the call: one per column, in order.
  using Bind = std::function<void(const T&, std::vector<SqlValue>* row)>;

  UpsertSinkWriter(std::unique_ptr<UpsertWriter> rows, Bind bind)
      : rows_(std::move(rows)), bind_(std::move(bind)) {}

  [[nodiscard]] bool Ready() const override { return rows_->Ready(); }
  [[nodiscard]] absl::Status Write(const T& record, EventTime /*time*/) override {
    row_.clear();
    bind_(record, &row_);
    return rows_->Append(row_);
  }
  [[nodiscard]] absl::Status Flush() override { return rows_->Flush(); }
  [[nodiscard]] absl::StatusOr<PrepareCommit> BeginCommit(CheckpointId /*checkpoint*/) override {
    return rows_->BeginCommit();
  }
  void Close() override { rows_->Close(); }

 private:
  const std::unique_ptr<UpsertWriter> rows_;
  const Bind bind_;
  std::vector<SqlValue> row_;
};

}  // namespace weir::internal
