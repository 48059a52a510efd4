#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "runtime/base/memory_budget.h"
#include "runtime/metrics/metric_group.h"
#include "runtime/state/internal/state_database.h"

namespace weir::internal {

class SnapshotBase;

/// What one table has asked of the database. Plain data.
struct ColdStatistics {
  uint64_t num_evictions = 0;
  uint64_t num_gets = 0;
  uint64_t num_found = 0;
  uint64_t num_puts = 0;
  uint64_t blocked_nanos = 0;
};

/// The database as the tables of one backend see it: a place for entries that memory has no room
/// for. Opens it when the first entry leaves, and counts what is read and written.
///
/// Threads: the task's. Reads and writes block; they throw StateError when they fail.
class ColdStore {
 public:
  /// Entries begin to leave when this part of the budget is used …
  static constexpr double kHighWaterMark = 0.80;
  /// … and stop when no more than this is. The rest is for what cannot shed: buffers, RocksDB.
  static constexpr double kLowWaterMark = 0.75;
  /// With more than this part used, state should not grow while its entries cannot leave.
  static constexpr double kHoldMark = 0.90;

  /// `budget` and `metrics` are borrowed; `metrics` may be null.
  ColdStore(std::shared_ptr<SnapshotBase> base, const MemoryBudget* budget, MetricGroup* metrics);
  ColdStore(const ColdStore&) = delete;
  ColdStore& operator=(const ColdStore&) = delete;
  ~ColdStore();

  /// Whether entries should leave memory.
  [[nodiscard]] bool UnderPressure();
  /// Whether memory is short enough that a task whose entries cannot leave should wait.
  [[nodiscard]] bool NearLimit() const;
  /// Whether `bytes` more would fit without any having to leave.
  [[nodiscard]] bool HasRoomFor(uint64_t bytes) const;
  /// See ColdEntries::CanWrite.
  [[nodiscard]] bool CanWrite() const;

  // What is done is counted in `statistics` too, which are those of the caller's state.

  /// Calls `read(value)` if there is an entry, and returns whether there is.
  bool Get(std::string_view key, absl::FunctionRef<void(std::string_view value)> read,
           ColdStatistics* statistics);
  void CountEvictions(size_t count, ColdStatistics* statistics);
  // Collect changes for Commit.
  void Put(std::string_view key, std::string_view value);
  void Delete(std::string_view key);
  void Commit(ColdStatistics* statistics);
  /// Calls `visit(key, value)` with each entry from `begin` up to, not including, `end`, in order.
  [[nodiscard]] absl::Status ForEach(
      std::string_view begin, std::string_view end,
      absl::FunctionRef<absl::Status(std::string_view key, std::string_view value)> visit);

 private:
  StateDatabase& database();
  // A part of the budget's limit, which may change.
  [[nodiscard]] int64_t BytesOf(double part) const;

  const std::shared_ptr<SnapshotBase> base_;
  const MemoryBudget* const budget_;
  bool shedding_ = false;
  StateDatabase* database_ = nullptr;  // Of base_, once it is known to be open.
  std::unique_ptr<StateDatabase::WriteBatch> batch_;
  uint64_t batch_size_ = 0;

  // Null without a metric group.
  Counter* num_evictions_ = nullptr;
  Counter* num_gets_ = nullptr;
  Counter* num_found_ = nullptr;
  Counter* num_puts_ = nullptr;
  Counter* blocked_nanos_ = nullptr;
  Counter* bytes_read_ = nullptr;
  Counter* bytes_written_ = nullptr;
};

}  // namespace weir::internal
