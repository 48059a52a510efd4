#include "operators/connectors/internal/upsert_writer.h"

#include <iterator>
#include <string>
#include <utility>

#include "operators/connectors/internal/sink_io_queue.h"
#include "operators/connectors/internal/upsert_table.h"
#include "runtime/base/mutex.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::internal {

namespace {
constexpr size_t kBatchBytes = size_t{256} << 10;

size_t SizeBytes(const SqlValue& value) {
  const auto* text = std::get_if<std::string>(&value);
  return sizeof(SqlValue) + (text == nullptr ? 0 : text->size());
}
}  // namespace

struct UpsertWriter::WaitingRows {
  Mutex mutex;
  std::vector<SqlValue> values ABSL_GUARDED_BY(mutex);
};

UpsertWriter::UpsertWriter(SinkContext& context, std::shared_ptr<UpsertTable> table,
                           size_t num_columns, size_t max_buffered_bytes)
    : table_(std::move(table)),
      queue_(SinkIoQueue::Create(context.io_pool(), context.handle(), max_buffered_bytes)),
      waiting_(std::make_shared<WaitingRows>()),
      num_columns_(num_columns) {}

UpsertWriter::~UpsertWriter() { Close(); }

bool UpsertWriter::Ready() const { return queue_->HasRoom(); }

void UpsertWriter::Close() {
  table_->Cancel();
  queue_->Close();
}

absl::Status UpsertWriter::Append(std::vector<SqlValue>& row) {
  if (row.size() != num_columns_) {
    return absl::InvalidArgumentError(
        StrCat("an upsert sink's binder gave another number of values than there are columns: "
               "values=",
               row.size(), " columns=", num_columns_));
  }
  for (SqlValue& value : row) {
    bytes_ += SizeBytes(value);
    values_.push_back(std::move(value));
  }
  return bytes_ < kBatchBytes ? absl::OkStatus() : Flush();
}

absl::Status UpsertWriter::Flush() {
  RETURN_IF_ERROR(queue_->status());
  if (values_.empty()) return absl::OkStatus();
  {
    const MutexLock lock(&waiting_->mutex);
    waiting_->values.insert(waiting_->values.end(), std::make_move_iterator(values_.begin()),
                            std::make_move_iterator(values_.end()));
  }
  values_.clear();
  queue_->Push(std::exchange(bytes_, 0), [table = table_, waiting = waiting_] {
    std::vector<SqlValue> values;
    {
      const MutexLock lock(&waiting->mutex);
      values.swap(waiting->values);
    }
    return values.empty() ? absl::OkStatus() : table->Upsert(values);
  });
  return absl::OkStatus();
}

absl::StatusOr<PrepareCommit> UpsertWriter::BeginCommit() {
  RETURN_IF_ERROR(Flush());
  return PrepareCommit([queue = queue_, ticket = queue_->last_ticket()](
                           StateFileStore&) -> absl::StatusOr<std::vector<Committable>> {
    RETURN_IF_ERROR(queue->WaitFor(ticket));
    return std::vector<Committable>();
  });
}

}  // namespace weir::internal
