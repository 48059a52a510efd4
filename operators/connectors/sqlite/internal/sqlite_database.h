#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "operators/connectors/internal/upsert_table.h"
#include "operators/connectors/sqlite/sqlite_table.h"

struct sqlite3;
struct sqlite3_stmt;

namespace weir::internal {

/// A connection to a database, with one statement: the upsert into one table. All methods block.
/// Threads: one at a time.
class SqliteDatabase final : public UpsertTable {
 public:
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<SqliteDatabase>> Open(
      const SqliteSinkOptions& options);
  ~SqliteDatabase() override;
  SqliteDatabase(const SqliteDatabase&) = delete;
  SqliteDatabase& operator=(const SqliteDatabase&) = delete;

  [[nodiscard]] absl::Status Upsert(std::span<const SqliteValue> values) override;

 private:
  explicit SqliteDatabase(SqliteSinkOptions options) : options_(std::move(options)) {}

  absl::Status Execute(const std::string& sql);
  absl::Status ExecutePatiently(const std::string& sql);
  absl::Status CheckColumns();
  absl::Status PrepareUpsert();
  absl::Status UpsertRows(std::span<const SqliteValue> values);
  [[nodiscard]] absl::Status Error(std::string_view what) const;

  const SqliteSinkOptions options_;
  sqlite3* database_ = nullptr;
  sqlite3_stmt* upsert_ = nullptr;
};

}  // namespace weir::internal
