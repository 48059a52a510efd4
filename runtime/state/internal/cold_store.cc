#include "runtime/state/internal/cold_store.h"

#include <utility>

#include "runtime/base/clock.h"
#include "runtime/state/internal/snapshot_base.h"
#include "runtime/state/state_error.h"

namespace weir::internal {

namespace {

void Count(Counter* counter, uint64_t count) {
  if (counter != nullptr) counter->Add(count);
}

// Marks where a step waits for the local disk, and counts how long: the one place to lend a worker
// to other tasks meanwhile.
class BlockingScope {
 public:
  explicit BlockingScope(Counter* nanos, ColdStatistics* statistics = nullptr)
      : nanos_(nanos), statistics_(statistics) {}
  BlockingScope(const BlockingScope&) = delete;
  BlockingScope& operator=(const BlockingScope&) = delete;
  ~BlockingScope() {
    const auto elapsed = static_cast<uint64_t>(watch_.ElapsedNanos());
    Count(nanos_, elapsed);
    if (statistics_ != nullptr) statistics_->blocked_nanos += elapsed;
  }

 private:
  Counter* const nanos_;
  ColdStatistics* const statistics_;
  const Stopwatch watch_;
};

}  // namespace

ColdStore::ColdStore(std::shared_ptr<SnapshotBase> base, const MemoryBudget* budget,
                     MetricGroup* metrics)
    : base_(std::move(base)), budget_(budget) {
  if (metrics == nullptr) return;
  num_evictions_ = metrics->AddCounter("state.evictions");
  num_gets_ = metrics->AddCounter("state.rocksdbGets");
  num_found_ = metrics->AddCounter("state.rocksdbGetsFound");
  num_puts_ = metrics->AddCounter("state.rocksdbPuts");
  blocked_nanos_ = metrics->AddCounter("state.rocksdbNanos");
  bytes_read_ = metrics->AddCounter("rocksdb.bytes-read");
  bytes_written_ = metrics->AddCounter("rocksdb.bytes-written");
}

ColdStore::~ColdStore() = default;

int64_t ColdStore::BytesOf(double part) const {
  return static_cast<int64_t>(static_cast<double>(budget_->limit_bytes()) * part);
}

bool ColdStore::UnderPressure() {
  const int64_t used = budget_->used_bytes();
  shedding_ = used > BytesOf(shedding_ ? kLowWaterMark : kHighWaterMark);
  return shedding_;
}

bool ColdStore::NearLimit() const { return budget_->used_bytes() > BytesOf(kHoldMark); }

bool ColdStore::HasRoomFor(uint64_t bytes) const {
  const int64_t room = BytesOf(kLowWaterMark) - budget_->used_bytes();
  return room > 0 && bytes <= static_cast<uint64_t>(room);
}

bool ColdStore::CanWrite() const { return base_->FilesChosen(); }

StateDatabase& ColdStore::database() {
  if (database_ == nullptr) {
    const BlockingScope blocking(blocked_nanos_);
    absl::StatusOr<StateDatabase*> opened = base_->OpenDatabase();
    if (!opened.ok()) throw StateError(opened.status());
    database_ = *opened;
  }
  return *database_;
}

bool ColdStore::Get(std::string_view key, absl::FunctionRef<void(std::string_view)> read,
                    ColdStatistics* statistics) {
  StateDatabase& source = database();
  const BlockingScope blocking(blocked_nanos_, statistics);
  const absl::StatusOr<bool> found = source.Get(key, [&](std::string_view value) {
    Count(bytes_read_, key.size() + value.size());
    read(value);
  });
  if (!found.ok()) throw StateError(found.status());
  Count(num_gets_, 1);
  ++statistics->num_gets;
  if (*found) {
    Count(num_found_, 1);
    ++statistics->num_found;
  }
  return *found;
}

void ColdStore::CountEvictions(size_t count, ColdStatistics* statistics) {
  Count(num_evictions_, count);
  statistics->num_evictions += count;
}

void ColdStore::Put(std::string_view key, std::string_view value) {
  if (batch_ == nullptr) batch_ = database().NewBatch();
  batch_->Put(key, value);
  ++batch_size_;
  Count(bytes_written_, key.size() + value.size());
}

void ColdStore::Delete(std::string_view key) {
  if (batch_ == nullptr) batch_ = database().NewBatch();
  batch_->Delete(key);
  ++batch_size_;
  Count(bytes_written_, key.size());
}

void ColdStore::Commit(ColdStatistics* statistics) {
  if (batch_size_ == 0) return;
  const BlockingScope blocking(blocked_nanos_, statistics);
  const absl::Status written = database().Write(*batch_);
  if (!written.ok()) throw StateError(written);
  Count(num_puts_, batch_size_);
  statistics->num_puts += std::exchange(batch_size_, 0);
}

absl::Status ColdStore::ForEach(
    std::string_view begin, std::string_view end,
    absl::FunctionRef<absl::Status(std::string_view, std::string_view)> visit) {
  StateDatabase& source = database();
  const BlockingScope blocking(blocked_nanos_);
  return source.ForEach(begin, end, visit);
}

}  // namespace weir::internal
