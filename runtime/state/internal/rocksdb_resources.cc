#include "runtime/state/internal/rocksdb_resources.h"

#include <algorithm>
#include <map>
#include <utility>

#include "runtime/base/rocksdb_settings.h"

namespace weir {

namespace {

// What a database needs to work at all, however small the budget.
constexpr size_t kLeastBlockCacheBytes = size_t{256} << 10;
constexpr size_t kLeastWriteBuffersBytes = size_t{256} << 10;

RocksDbOptions Bounded(RocksDbOptions options, const MemoryBudget* budget) {
  if (budget == nullptr) return options;
  const auto most = static_cast<size_t>(std::max<int64_t>(budget->limit_bytes() / 8, 0));
  options.block_cache_bytes =
      std::min(options.block_cache_bytes, std::max(most, kLeastBlockCacheBytes));
  options.all_write_buffers_bytes =
      std::min(options.all_write_buffers_bytes, std::max(most, kLeastWriteBuffersBytes));
  // A database that alone may take all would make the others wait.
  options.write_buffer_bytes =
      std::min(options.write_buffer_bytes, options.all_write_buffers_bytes / 2);
  return options;
}

// The defaults, which are made for a gibibyte, in the measure of the budget.
RocksDbOptions DefaultsFor(const MemoryBudget& budget) {
  RocksDbOptions options;
  const auto limit = static_cast<size_t>(std::max<int64_t>(budget.limit_bytes(), 1 << 20));
  options.block_cache_bytes = std::min(options.block_cache_bytes, limit / 16);
  options.all_write_buffers_bytes = std::min(options.all_write_buffers_bytes, limit / 32);
  return options;
}

// Never destroyed: databases may close late.
struct Registry {
  Mutex mutex;
  std::map<MemoryBudget*, std::weak_ptr<internal::RocksDbResources>> by_budget
      ABSL_GUARDED_BY(mutex);
  std::shared_ptr<internal::RocksDbResources> without_budget ABSL_GUARDED_BY(mutex);
};

Registry& TheRegistry() {
  static Registry* const registry = new Registry;
  return *registry;
}

}  // namespace

RocksDbOptions RocksDbOptions::FromConfiguration(const Configuration& configuration) {
  RocksDbOptions options;
  options.block_cache_bytes =
      static_cast<size_t>(configuration.Get(kRocksDbBlockCacheSize).bytes());
  options.block_bytes = static_cast<size_t>(configuration.Get(kRocksDbBlockSize).bytes());
  options.write_buffer_bytes =
      static_cast<size_t>(configuration.Get(kRocksDbWriteBufferSize).bytes());
  options.num_write_buffers = static_cast<int>(configuration.Get(kRocksDbWriteBufferCount));
  options.all_write_buffers_bytes =
      std::max(options.all_write_buffers_bytes,
               options.write_buffer_bytes * static_cast<size_t>(options.num_write_buffers));
  if (configuration.Get(kRocksDbCompactionStyle) == "UNIVERSAL") {
    options.compaction_style = CompactionStyle::kUniversal;
  }
  options.num_threads = static_cast<int>(configuration.Get(kRocksDbThreadNum));
  options.num_transfer_threads = static_cast<int>(configuration.Get(kRocksDbTransferThreadNum));
  return options;
}

std::shared_ptr<const void> ConfigureRocksDb(MemoryBudget* budget, const RocksDbOptions& options) {
  return internal::RocksDbResources::Replace(budget, options);
}

namespace internal {

// Write buffers are charged to the cache, so it must have room for both.
RocksDbResources::RocksDbResources(MemoryBudget* budget, const RocksDbOptions& options)
    : options_(Bounded(options, budget)),
      block_cache_(
          rocksdb::NewLRUCache(options_.block_cache_bytes + options_.all_write_buffers_bytes)),
      write_buffers_(std::make_shared<rocksdb::WriteBufferManager>(options_.all_write_buffers_bytes,
                                                                   block_cache_)),
      charge_(budget, 0) {}

std::shared_ptr<RocksDbResources> RocksDbResources::Of(MemoryBudget* budget) {
  Registry& registry = TheRegistry();
  const MutexLock lock(&registry.mutex);
  if (budget == nullptr) {
    if (registry.without_budget == nullptr) {
      registry.without_budget = std::make_shared<RocksDbResources>(nullptr, RocksDbOptions());
    }
    return registry.without_budget;
  }
  std::weak_ptr<RocksDbResources>& known = registry.by_budget[budget];
  std::shared_ptr<RocksDbResources> resources = known.lock();
  if (resources == nullptr) {
    resources = std::make_shared<RocksDbResources>(budget, DefaultsFor(*budget));
    known = resources;
  }
  return resources;
}

std::shared_ptr<RocksDbResources> RocksDbResources::Replace(MemoryBudget* budget,
                                                            const RocksDbOptions& options) {
  auto resources = std::make_shared<RocksDbResources>(budget, options);
  Registry& registry = TheRegistry();
  const MutexLock lock(&registry.mutex);
  std::erase_if(registry.by_budget, [](const auto& entry) { return entry.second.expired(); });
  registry.by_budget[budget] = resources;
  return resources;
}

void RocksDbResources::UpdateCharge() {
  const MutexLock lock(&mutex_);
  charge_.Resize(static_cast<int64_t>(block_cache_->GetUsage()));
}

void RocksDbResources::UpdateChargeSometimes() {
  if (num_calls_.fetch_add(1, std::memory_order_relaxed) % 256 == 0) UpdateCharge();
}

}  // namespace internal

}  // namespace weir
