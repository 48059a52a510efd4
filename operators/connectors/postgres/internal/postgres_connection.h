#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "operators/connectors/internal/upsert_table.h"
#include "operators/connectors/postgres/postgres_table.h"
#include "runtime/base/mutex.h"

struct pg_conn;
struct pg_result;

namespace weir::internal {

/// A connection to a database, with one prepared statement: the upsert into one table. Lost
/// connections are made anew and what was under way is done again, as it is idempotent. All methods
/// but Cancel block. Threads: one at a time, save Cancel.
class PostgresConnection final : public UpsertTable {
 public:
  /// Connects, makes the table if it is told how, and checks it.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<PostgresConnection>> Open(
      const PostgresSinkOptions& options);
  ~PostgresConnection() override;
  PostgresConnection(const PostgresConnection&) = delete;
  PostgresConnection& operator=(const PostgresConnection&) = delete;

  [[nodiscard]] absl::Status Upsert(std::span<const SqlValue> values) override;
  void Cancel() override;

 private:
  struct FreeResult {
    void operator()(pg_result* result) const;
  };
  using Result = std::unique_ptr<pg_result, FreeResult>;

  explicit PostgresConnection(PostgresSinkOptions options);

  // Runs `work` on a connection that stands, again and again while its error may pass.
  template <class Work>
  absl::Status WithRetries(Work&& work);
  // Waits a moment; ends early, with false, when cancelled.
  bool Pause(absl::Duration duration);
  absl::Status Connect();
  void Disconnect();
  [[nodiscard]] bool IsConnected() const;
  absl::Status MakeTable();
  absl::Status CheckTable();
  absl::Status Prepare();
  absl::StatusOr<Result> Execute(const std::string& sql, const std::vector<std::string>& values,
                                 std::string_view what);
  absl::Status UpsertOnce(std::span<const SqlValue> values);
  absl::Status SendRows(std::span<const SqlValue> values);
  absl::Status SendRow(std::span<const SqlValue> row);
  // Names the column whose value the table's type does not take.
  absl::Status ExplainRefusal(const absl::Status& refusal, std::span<const SqlValue> row);
  absl::Status ResultError(std::string_view what, const pg_result* result);
  absl::Status ConnectionError(std::string_view what) const;
  [[nodiscard]] std::string Where() const;

  const PostgresSinkOptions options_;
  const std::string quoted_table_;
  std::vector<std::string> types_;  // Of the columns, as the database writes them.
  pg_conn* connection_ = nullptr;
  mutable Mutex mutex_;
  CondVar cancelled_changed_;
  int socket_ ABSL_GUARDED_BY(mutex_) = -1;  // Of the connection, for Cancel.
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace weir::internal
