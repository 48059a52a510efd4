#include "operators/connectors/sqlite/internal/sqlite_database.h"

#include <sqlite3.h>

#include <utility>

#include "runtime/base/clock.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::internal {

namespace {

struct BindValue {
  sqlite3_stmt* statement;
  int index;

  int operator()(std::monostate) const { return sqlite3_bind_null(statement, index); }
  int operator()(int64_t value) const { return sqlite3_bind_int64(statement, index, value); }
  int operator()(double value) const { return sqlite3_bind_double(statement, index, value); }
  // The values outlive the statement's step.
  int operator()(const std::string& value) const {
    return sqlite3_bind_text64(statement, index, value.data(), value.size(), SQLITE_STATIC,
                               SQLITE_UTF8);
  }
};

}  // namespace

absl::StatusOr<std::unique_ptr<SqliteDatabase>> SqliteDatabase::Open(
    const SqliteSinkOptions& options) {
  auto database = std::unique_ptr<SqliteDatabase>(new SqliteDatabase(options));
  const int opened =
      sqlite3_open_v2(options.path.c_str(), &database->database_,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  if (opened != SQLITE_OK) return database->Error("cannot open a SQLite database");
  sqlite3_extended_result_codes(database->database_, 1);
  // Short, because ExecutePatiently begins anew: a switch of the journal mode does not wait.
  sqlite3_busy_timeout(database->database_, 100);
  RETURN_IF_ERROR(database->ExecutePatiently("PRAGMA journal_mode=WAL"));
  RETURN_IF_ERROR(database->ExecutePatiently("PRAGMA synchronous=FULL"));
  if (!options.create_table.empty()) {
    RETURN_IF_ERROR(database->ExecutePatiently(options.create_table));
  }
  RETURN_IF_ERROR(database->CheckColumns());
  RETURN_IF_ERROR(database->PrepareUpsert());
  return database;
}

SqliteDatabase::~SqliteDatabase() {
  sqlite3_finalize(upsert_);
  sqlite3_close_v2(database_);
}

absl::Status SqliteDatabase::Error(std::string_view what) const {
  const int code = database_ == nullptr ? SQLITE_NOMEM : sqlite3_errcode(database_);
  const std::string message =
      StrCat(what, ": database=", options_.path, " table=", options_.table,
             " error=", database_ == nullptr ? "out of memory" : sqlite3_errmsg(database_));
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::UnavailableError(message);
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(message);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::DataLossError(message);
    case SQLITE_IOERR:
      return absl::InternalError(message);
    default:
      return absl::FailedPreconditionError(message);
  }
}

absl::Status SqliteDatabase::Execute(const std::string& sql) {
  if (sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) {
    return absl::OkStatus();
  }
  return Error(StrCat("SQLite refuses a statement (", sql, ")"));
}

absl::Status SqliteDatabase::ExecutePatiently(const std::string& sql) {
  const Stopwatch stopwatch;
  while (true) {
    absl::Status status = Execute(sql);
    if (!absl::IsUnavailable(status) || stopwatch.Elapsed() >= options_.busy_timeout) {
      return status;
    }
    // Some conflicts come back at once, without the busy timeout.
    sqlite3_sleep(5);
  }
}

absl::Status SqliteDatabase::CheckColumns() {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(database_,
                         "SELECT name, \"notnull\", dflt_value, pk FROM pragma_table_info(?1)", -1,
                         &statement, nullptr) != SQLITE_OK) {
    return Error("cannot look up a table's columns");
  }
  sqlite3_bind_text(statement, 1, options_.table.c_str(), -1, SQLITE_STATIC);
  std::vector<FoundColumn> found;
  while (sqlite3_step(statement) == SQLITE_ROW) {
    const std::string name(reinterpret_cast<const char*>(sqlite3_column_text(statement, 0)));
    const bool needs_value = sqlite3_column_int(statement, 1) != 0 &&
                             sqlite3_column_type(statement, 2) == SQLITE_NULL &&
                             sqlite3_column_int(statement, 3) == 0;
    found.push_back({name, needs_value});
  }
  sqlite3_finalize(statement);
  return CheckUpsertColumns(found, options_.columns, {options_.key_column},
                            StrCat("database=", options_.path, " table=", options_.table));
}

absl::Status SqliteDatabase::PrepareUpsert() {
  const std::string sql = UpsertStatement(QuoteIdentifier(options_.table), options_.columns,
                                          {options_.key_column}, /*numbered=*/false);
  if (sqlite3_prepare_v3(database_, sql.c_str(), -1, SQLITE_PREPARE_PERSISTENT, &upsert_,
                         nullptr) == SQLITE_OK) {
    return absl::OkStatus();
  }
  return Error(StrCat("cannot upsert by a column; it must be a primary key or unique: column=",
                      options_.key_column));
}

absl::Status SqliteDatabase::Upsert(std::span<const SqliteValue> values) {
  // IMMEDIATE: later statements of the transaction cannot meet another writer.
  RETURN_IF_ERROR(ExecutePatiently("BEGIN IMMEDIATE"));
  absl::Status status = UpsertRows(values);
  if (status.ok()) status = ExecutePatiently("COMMIT");
  if (!status.ok() && sqlite3_get_autocommit(database_) == 0) {
    (void)Execute("ROLLBACK");  // The first error is the one to tell.
  }
  return status;
}

absl::Status SqliteDatabase::UpsertRows(std::span<const SqliteValue> values) {
  const size_t num_columns = options_.columns.size();
  for (size_t row = 0; row + num_columns <= values.size(); row += num_columns) {
    for (size_t column = 0; column < num_columns; ++column) {
      const int bound =
          std::visit(BindValue{upsert_, static_cast<int>(column) + 1}, values[row + column]);
      if (bound != SQLITE_OK) return Error("cannot bind a value to a row");
    }
    const int stepped = sqlite3_step(upsert_);
    absl::Status status;
    if (stepped != SQLITE_DONE) status = Error("cannot write a row");
    sqlite3_reset(upsert_);
    RETURN_IF_ERROR(status);
  }
  sqlite3_clear_bindings(upsert_);
  return absl::OkStatus();
}

}  // namespace weir::internal
