#pragma once

#include <atomic>
#include <memory>

#include "rocksdb/cache.h"
#include "rocksdb/write_buffer_manager.h"
#include "runtime/base/memory_budget.h"
#include "runtime/base/mutex.h"
#include "runtime/state/rocksdb_options.h"

namespace weir::internal {

/// What all databases share that charge one budget: cache and write buffers, and their settings.
///
/// Lifecycle: made with the first database of a budget, or by ConfigureRocksDb; goes with the last
/// that holds it. The budget outlives it. Threads: any.
class RocksDbResources {
 public:
  /// Returns those of `budget`. Null has resources of its own, which charge nothing.
  [[nodiscard]] static std::shared_ptr<RocksDbResources> Of(MemoryBudget* budget);
  /// Puts others in their place for databases opened from now on.
  [[nodiscard]] static std::shared_ptr<RocksDbResources> Replace(MemoryBudget* budget,
                                                                 const RocksDbOptions& options);

  RocksDbResources(MemoryBudget* budget, const RocksDbOptions& options);
  RocksDbResources(const RocksDbResources&) = delete;
  RocksDbResources& operator=(const RocksDbResources&) = delete;

  [[nodiscard]] const RocksDbOptions& options() const { return options_; }
  [[nodiscard]] const std::shared_ptr<rocksdb::Cache>& block_cache() const { return block_cache_; }
  [[nodiscard]] const std::shared_ptr<rocksdb::WriteBufferManager>& write_buffers() const {
    return write_buffers_;
  }

  /// Charges what cache and write buffers hold now.
  void UpdateCharge();
  /// The same at each 256th call: for what is done per entry.
  void UpdateChargeSometimes();

 private:
  const RocksDbOptions options_;
  const std::shared_ptr<rocksdb::Cache> block_cache_;
  const std::shared_ptr<rocksdb::WriteBufferManager> write_buffers_;
  std::atomic<uint32_t> num_calls_{0};
  Mutex mutex_;
  MemoryCharge charge_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace weir::internal
