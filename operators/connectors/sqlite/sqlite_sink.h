#pragma once

#include <memory>
#include <utility>

#include "operators/api/sink.h"
#include "operators/connectors/internal/upsert_writer.h"
#include "operators/connectors/sqlite/internal/sqlite_database.h"
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
  using Bind = typename internal::UpsertSinkWriter<T>::Bind;

  SqliteSink(SqliteSinkOptions options, Bind bind)
      : options_(std::move(options)), bind_(std::move(bind)) {}

  [[nodiscard]] absl::StatusOr<std::unique_ptr<SinkWriter<T>>> CreateWriter(
      SinkContext& context) const override {
    auto database = internal::SqliteDatabase::Open(options_);
    if (!database.ok()) return database.status();
    return std::make_unique<internal::UpsertSinkWriter<T>>(
        std::make_unique<internal::UpsertWriter>(
            context, *std::move(database), options_.columns.size(), options_.max_buffered_bytes),
        bind_);
  }

 private:
  SqliteSinkOptions options_;
  Bind bind_;
};

}  // namespace weir
