#pragma once

#include <memory>
#include <utility>

#include "operators/api/sink.h"
#include "operators/connectors/internal/upsert_writer.h"
#include "operators/connectors/postgres/internal/postgres_connection.h"
#include "operators/connectors/postgres/postgres_table.h"

namespace weir {

/// Writes each record as a row of a PostgreSQL table: a new row, or in place of the one with the
/// same key. Rows are visible within moments of being written, and at the latest when their
/// checkpoint completes; after a restart they are written again, which changes nothing. So a record
/// must give the same row each time. Rows of one subtask are written in order; the last one of a
/// key stays.
///
/// Values go as text, so PostgreSQL takes them for any type that reads them: timestamps, JSON,
/// numbers. Errors, at the start: kFailedPrecondition if the table lacks a column or does not know
/// the key as unique. Later: kFailedPrecondition naming column and value that the table refuses;
/// kUnavailable if the database stays away for longer than retry_timeout.
template <class T>
class PostgresSink final : public Sink<T> {
 public:
  /// Appends the record's values to `*row`, which is empty at the call: one per column, in order.
  using Bind = typename internal::UpsertSinkWriter<T>::Bind;

  PostgresSink(PostgresSinkOptions options, Bind bind)
      : options_(std::move(options)), bind_(std::move(bind)) {}

  [[nodiscard]] absl::StatusOr<std::unique_ptr<SinkWriter<T>>> CreateWriter(
      SinkContext& context) const override {
    auto connection = internal::PostgresConnection::Open(options_);
    if (!connection.ok()) return connection.status();
    return std::make_unique<internal::UpsertSinkWriter<T>>(
        std::make_unique<internal::UpsertWriter>(
            context, *std::move(connection), options_.columns.size(), options_.max_buffered_bytes),
        bind_);
  }

 private:
  PostgresSinkOptions options_;
  Bind bind_;
};

}  // namespace weir
