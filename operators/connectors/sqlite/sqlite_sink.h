#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "operators/api/sink.h"
#include "operators/connectors/sqlite/internal/sqlite_writer.h"
#include "operators/connectors/sqlite/sqlite_table.h"

namespace weir {

/// Writes each record as a row of a SQLite table: a new row, or in place of the one with the same
/// key. Rows are visible within moments of being written, and at the latest when their checkpoint
/// completes; after a restart they are written again, which changes nothing. So a record must give
/// the same row each time.
///
/// Several subtasks, jobs and readers may use the database at once (write-ahead log). Errors, at
/// the start: kFailedPrecondition if the table lacks a column or does not know the key as unique.
template <class T>
class SqliteSink final : public Sink<T> {
 public:
  /// Appends the record's values to `*row`, which is empty at the call: one per column, in order.
  using Bind = std::function<void(const T&, std::vector<SqliteValue>* row)>;

  SqliteSink(SqliteSinkOptions options, Bind bind)
      : options_(std::move(options)), bind_(std::move(bind)) {}

  [[nodiscard]] absl::StatusOr<std::unique_ptr<SinkWriter<T>>> CreateWriter(
      SinkContext& context) const override {
    auto rows = internal::SqliteWriter::Create(context, options_);
    if (!rows.ok()) return rows.status();
    return std::make_unique<Writer>(*std::move(rows), bind_);
  }

 private:
  class Writer final : public SinkWriter<T> {
   public:
    Writer(std::unique_ptr<internal::SqliteWriter> rows, Bind bind)
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
    const std::unique_ptr<internal::SqliteWriter> rows_;
    const Bind bind_;
    std::vector<SqliteValue> row_;
  };

  SqliteSinkOptions options_;
  Bind bind_;
};

}  // namespace weir
