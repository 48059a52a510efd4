#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "runtime/record/event_time.h"
#include "runtime/record/typed_batch.h"
#include "runtime/task/output.h"

namespace weir {

/// Collects records of type T into batches and emits them on a port.
///
/// Lifecycle: lives as long as its operator; the port must outlive it. Threads: within a step only.
template <class T>
class Collector final : public PendingRecords {
 public:
  Collector() = default;
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;

  /// Binds the collector to its port, once, before the first record.
  void Bind(OutputPort* port) {
    port_ = port;
    port_->SetPending(this);
  }

  /// Emits a record; `time` Min means that it has no event time.
  void Collect(T&& value, EventTime time) {
    if (!port_->connected()) return;
    builder_.Add(std::move(value), time);
    FlushIfFull();
  }
  void Collect(const T& value, EventTime time) {
    if (!port_->connected()) return;
    builder_.Add(value, time);
    FlushIfFull();
  }
  /// Emits a record with the event time of the record or timer being processed.
  void Collect(T&& value) { Collect(std::move(value), timestamp_); }
  void Collect(const T& value) { Collect(value, timestamp_); }
  /// Emits the records `rows` of `batch`, in order, with their times: the batch itself if these are
  /// all of its records, else its records are moved if nobody else holds it. Takes `batch` away.
  void CollectRows(BatchPtr& batch, std::span<const uint32_t> rows) {
    if (rows.empty() || !port_->connected()) return batch.Reset();
    if (rows.size() == batch->size() &&
        (builder_.size() == 0 || builder_.size() >= kMinRecordsToSend)) {
      Flush();
      port_->EmitBatch(std::move(batch));
      return;
    }
    while (!rows.empty()) {
      // At least one: the most may have become less than what is held.
      const size_t room =
          std::max(port_->max_batch_records(), builder_.size() + 1) - builder_.size();
      const size_t count = std::min(rows.size(), room);
      builder_.AppendRows(batch, rows.first(count), {});
      rows = rows.subspan(count);
      FlushIfFull();
    }
    batch.Reset();
  }
  /// Emits many records at once, without a copy where they are enough to be a batch of their own.
  /// `times` has one for each value, or is empty: then none has one.
  void CollectBatch(std::vector<T> values, std::vector<EventTime> times) {
    if (values.empty() || !port_->connected()) return;
    size_t owned_bytes = 0;
    if constexpr (!internal::IsMemoryImage<T>()) {
      for (const T& value : values) owned_bytes += OwnedBytes(value);
    }
    const bool fits = values.size() <= port_->max_batch_records() &&
                      owned_bytes + values.size() * sizeof(T) <= kMaxBatchBytes;
    if (fits && (builder_.size() == 0 || values.size() >= kMinRecordsToSend)) {
      Flush();
      port_->EmitBatch(BatchPtr(std::make_unique<TypedBatch<T>>(
          std::move(values), std::move(times), std::vector<uint64_t>(), owned_bytes)));
      return;
    }
    for (size_t i = 0; i < values.size(); ++i) {
      Collect(std::move(values[i]), times.empty() ? EventTime::Min() : times[i]);
    }
  }
  /// Sets the event time of what Collect(value) emits. For operators.
  void set_timestamp(EventTime time) { timestamp_ = time; }
  /// Whether the function should return soon: what follows the port cannot take more.
  [[nodiscard]] bool Full() const { return port_->Full(); }

  void Flush() override {
    if (builder_.size() > 0) port_->EmitBatch(builder_.Finish());
  }

 private:
  // Fewer held-back records are joined by a following batch's rather than sent as one of their own.
  static constexpr size_t kMinRecordsToSend = 64;

  void FlushIfFull() {
    if (builder_.size() >= port_->max_batch_records() || builder_.SizeBytes() >= kMaxBatchBytes) {
      Flush();
    }
  }

  OutputPort* port_ = nullptr;
  EventTime timestamp_ = EventTime::Min();
  TypedBatchBuilder<T> builder_;
};

}  // namespace weir
