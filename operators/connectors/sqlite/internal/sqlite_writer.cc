#include "operators/connectors/sqlite/internal/sqlite_writer.h"

#include <iterator>
#include <string>
#include <utility>

#include "operators/connectors/sqlite/internal/sqlite_database.h"
#include "runtime/base/mutex.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::internal {

namespace {
constexpr size_t kBatchBytes = size_t{256} << 10;

size_t SizeBytes(const SqliteValue& value) {
  const auto* text = std::get_if<std::string>(&value);
  return sizeof(SqliteValue) + (text == nullptr ? 0 : text->size());
}
}  // namespace

struct SqliteWriter::WaitingRows {
  Mutex mutex;
  std::vector<SqliteValue> values ABSL_GUARDED_BY(mutex);
};

absl::StatusOr<std::unique_ptr<SqliteWriter>> SqliteWriter::Create(
    SinkContext& context, const SqliteSinkOptions& options) {
  ASSIGN_OR_RETURN(std::unique_ptr<SqliteDatabase> database, SqliteDatabase::Open(options));
  return std::unique_ptr<SqliteWriter>(new SqliteWriter(
      std::move(database),
      SinkIoQueue::Create(context.io_pool(), context.handle(), options.max_buffered_bytes),
      options.columns.size()));
}

SqliteWriter::SqliteWriter(std::shared_ptr<SqliteDatabase> database,
                           std::shared_ptr<SinkIoQueue> queue, size_t num_columns)
    : database_(std::move(database)),
      queue_(std::move(queue)),
      waiting_(std::make_shared<WaitingRows>()),
      num_columns_(num_columns) {}

SqliteWriter::~SqliteWriter() { Close(); }

void SqliteWriter::Close() { queue_->Close(); }

absl::Status SqliteWriter::Append(std::vector<SqliteValue>& row) {
  if (row.size() != num_columns_) {
    return absl::InvalidArgumentError(
        StrCat("a SQLite sink's binder gave another number of values than there are columns: "
               "values=",
               row.size(), " columns=", num_columns_));
  }
  for (SqliteValue& value : row) {
    bytes_ += SizeBytes(value);
    values_.push_back(std::move(value));
  }
  return bytes_ < kBatchBytes ? absl::OkStatus() : Flush();
}

absl::Status SqliteWriter::Flush() {
  RETURN_IF_ERROR(queue_->status());
  if (values_.empty()) return absl::OkStatus();
  {
    const MutexLock lock(&waiting_->mutex);
    waiting_->values.insert(waiting_->values.end(), std::make_move_iterator(values_.begin()),
                            std::make_move_iterator(values_.end()));
  }
  values_.clear();
  queue_->Push(std::exchange(bytes_, 0), [database = database_, waiting = waiting_] {
    std::vector<SqliteValue> values;
    {
      const MutexLock lock(&waiting->mutex);
      values.swap(waiting->values);
    }
    return values.empty() ? absl::OkStatus() : database->Upsert(values);
  });
  return absl::OkStatus();
}

absl::StatusOr<PrepareCommit> SqliteWriter::BeginCommit() {
  RETURN_IF_ERROR(Flush());
  return PrepareCommit(
      [queue = queue_,
       ticket = queue_->last_ticket()]() -> absl::StatusOr<std::vector<std::string>> {
        RETURN_IF_ERROR(queue->WaitFor(ticket));
        return std::vector<std::string>();
      });
}

}  // namespace weir::internal
