#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "runtime/base/config.h"
#include "runtime/base/memory_budget.h"

namespace weir {

/// How RocksDB is set up under the state of one process. Plain data.
struct RocksDbOptions {
  enum class CompactionStyle : uint8_t { kLevel, kUniversal };

  /// Cache of blocks, indexes and filters, which all databases share.
  size_t block_cache_bytes = size_t{64} << 20;
  size_t block_bytes = size_t{4} << 10;
  /// Of a database; takes memory only once entries leave memory.
  size_t write_buffer_bytes = size_t{8} << 20;
  int num_write_buffers = 2;
  /// Of all databases together.
  size_t all_write_buffers_bytes = size_t{32} << 20;
  CompactionStyle compaction_style = CompactionStyle::kLevel;
  /// Flushes and compactions of a database that may run at once.
  int num_threads = 2;
  /// Files of a backend that are stored, or fetched, at once.
  int num_transfer_threads = 4;

  /// Reads the settings state.backend.rocksdb.*.
  [[nodiscard]] static RocksDbOptions FromConfiguration(const Configuration& configuration);
};

/// Sets RocksDB up for all backends with that budget, for as long as the result lives; without a
/// call, or before it, they have the defaults above, less where the budget is below a gibibyte.
/// Caches and write buffers charge the budget as they fill, and take no more than an eighth of its
/// limit each. Any thread.
[[nodiscard]] std::shared_ptr<const void> ConfigureRocksDb(MemoryBudget* budget,
                                                           const RocksDbOptions& options);

}  // namespace weir
