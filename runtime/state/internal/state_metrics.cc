#include "runtime/state/internal/state_metrics.h"

#include "runtime/state/internal/state_table.h"

namespace weir::internal {

namespace {

void Raise(Counter* counter, uint64_t to) { counter->Add(to - counter->value()); }

}  // namespace

StateMetrics::StateMetrics(MetricGroup* group)
    : num_entries_(group->AddGauge("numEntries")),
      memory_bytes_(group->AddGauge("memoryBytes")),
      disk_bytes_(group->AddGauge("rocksdb.estimate-live-data-size")),
      num_hits_(group->AddCounter("tableHits")),
      num_evictions_(group->AddCounter("evictions")),
      num_gets_(group->AddCounter("rocksdbGets")),
      num_found_(group->AddCounter("rocksdbGetsFound")),
      num_puts_(group->AddCounter("rocksdbPuts")),
      blocked_nanos_(group->AddCounter("rocksdbNanos")) {}

void StateMetrics::Update(const StateTable& table) {
  num_entries_->Set(static_cast<double>(table.NumEntries()));
  memory_bytes_->Set(static_cast<double>(table.MemoryBytes()));
  disk_bytes_->Set(static_cast<double>(table.disk_bytes()));
  Raise(num_hits_, table.NumHits());
  const ColdStatistics& cold = table.cold_statistics();
  Raise(num_evictions_, cold.num_evictions);
  Raise(num_gets_, cold.num_gets);
  Raise(num_found_, cold.num_found);
  Raise(num_puts_, cold.num_puts);
  Raise(blocked_nanos_, cold.blocked_nanos);
}

}  // namespace weir::internal
