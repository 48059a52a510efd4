#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/record/byte_io.h"
#include "runtime/record/event_time.h"
#include "runtime/record/schema.h"

namespace weir {

class Batch;
class BatchBuilder;
class BatchPtr;

/// A batch is sent at the latest when it has this many records or bytes; one larger record is a
/// batch alone.
inline constexpr size_t kMaxBatchRecords = 1024;
inline constexpr size_t kMaxBatchBytes = size_t{64} << 10;

/// Many records of one type that travel together, with their event times and, behind a KeyBy, key
/// hashes.
///
/// Threads: intrusively reference-counted by BatchPtr; immutable as soon as it is shared. Only the
/// one owner of a unique batch may change it (BatchPtr::MakeUnique). Invariant: event_times() and
/// key_hashes() are each empty or have size() entries.
class Batch {
 public:
  Batch() = default;
  virtual ~Batch() = default;
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  [[nodiscard]] virtual size_t size() const = 0;
  /// Returns an estimate of the memory held, kept up to date as records are added; cheap.
  [[nodiscard]] size_t SizeBytes() const { return size_bytes_; }

  /// Returns the records of `rows`, in that order, as a batch of their own.
  [[nodiscard]] virtual BatchPtr Select(std::span<const uint32_t> rows) const = 0;
  /// Returns records [begin, end).
  [[nodiscard]] BatchPtr Slice(size_t begin, size_t end) const;
  [[nodiscard]] BatchPtr Copy() const;
  /// Returns a builder for batches of this type.
  [[nodiscard]] virtual std::unique_ptr<BatchBuilder> NewBuilder() const = 0;

  /// Writes all records with times and hashes; BatchType::Deserialize reads it back.
  void Serialize(ByteWriter& writer) const;

  /// Event time of each record; empty if none has one.
  [[nodiscard]] std::span<const EventTime> event_times() const { return event_times_; }
  [[nodiscard]] EventTime event_time(size_t row) const {
    return event_times_.empty() ? EventTime::Min() : event_times_[row];
  }
  /// XXH3 of each record's canonical key; empty before a KeyBy.
  [[nodiscard]] std::span<const uint64_t> key_hashes() const { return key_hashes_; }
  /// Gives each record its key's hash. For the owner of a unique batch; `hashes` has size()
  /// entries.
  void SetKeyHashes(std::vector<uint64_t> hashes) {
    size_bytes_ += (hashes.size() - key_hashes_.size()) * sizeof(uint64_t);
    key_hashes_ = std::move(hashes);
  }
  /// Gives each record its event time. For the owner of a unique batch; `times` has size() entries.
  void SetEventTimes(std::vector<EventTime> times) {
    size_bytes_ += (times.size() - event_times_.size()) * sizeof(EventTime);
    event_times_ = std::move(times);
  }

 protected:
  virtual void SerializeValues(ByteWriter& writer) const = 0;
  void SetTimesAndHashes(std::vector<EventTime> times, std::vector<uint64_t> hashes) {
    event_times_ = std::move(times);
    key_hashes_ = std::move(hashes);
  }
  void set_size_bytes(size_t bytes) { size_bytes_ = bytes; }

 private:
  friend class BatchPtr;

  std::vector<EventTime> event_times_;
  std::vector<uint64_t> key_hashes_;
  size_t size_bytes_ = 0;
  mutable std::atomic<uint32_t> references_{0};
};

/// A counted reference to a Batch. Copying shares the batch; each BatchPtr object itself is used by
/// one thread.
class BatchPtr {
 public:
  BatchPtr() = default;
  explicit BatchPtr(const Batch* batch) : batch_(batch) { Acquire(); }
  explicit BatchPtr(std::unique_ptr<const Batch> batch) : BatchPtr(batch.release()) {}
  BatchPtr(const BatchPtr& other) : batch_(other.batch_) { Acquire(); }
  BatchPtr(BatchPtr&& other) noexcept : batch_(std::exchange(other.batch_, nullptr)) {}
  BatchPtr& operator=(BatchPtr other) noexcept {
    std::swap(batch_, other.batch_);
    return *this;
  }
  ~BatchPtr() { Release(); }

  [[nodiscard]] const Batch* get() const { return batch_; }
  const Batch* operator->() const { return batch_; }
  const Batch& operator*() const { return *batch_; }
  explicit operator bool() const { return batch_ != nullptr; }
  void Reset() { *this = BatchPtr(); }

  /// Whether this is the only reference, so that the batch may be changed or its records moved out.
  [[nodiscard]] bool IsUnique() const {
    return batch_ != nullptr && batch_->references_.load(std::memory_order_acquire) == 1;
  }
  /// Returns the batch for changing it; copies it first if it is shared.
  [[nodiscard]] Batch& MakeUnique();

 private:
  void Acquire() const {
    if (batch_ != nullptr) batch_->references_.fetch_add(1, std::memory_order_relaxed);
  }
  // The release of every reference happens before the deletion by the last one.
  void Release() const {
    if (batch_ != nullptr && batch_->references_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      delete batch_;
    }
  }

  const Batch* batch_ = nullptr;
};

namespace internal {

// The columns of times and hashes, whose code is the same for records of every type.

/// Makes room for `count` more, at least doubling what there is, so that growth stays linear.
void GrowColumn(std::vector<EventTime>& column, size_t count, size_t next_capacity);
void GrowColumn(std::vector<uint64_t>& column, size_t count, size_t next_capacity);
/// Appends the times of `rows`, none of which has one if `source` is empty, behind `size` records.
void AppendTimes(std::vector<EventTime>& times, size_t size, std::span<const EventTime> source,
                 std::span<const uint32_t> rows, size_t next_capacity);
void AppendHashes(std::vector<uint64_t>& hashes, std::span<const uint64_t> source,
                  std::span<const uint32_t> rows, size_t next_capacity);
/// Appends the time of the record behind `size` others; those before the first with a time have
/// none.
void AppendFirstTime(std::vector<EventTime>& times, size_t size, EventTime time,
                     size_t next_capacity);
/// Reads what Batch::Serialize wrote before the values. Returns false on malformed input.
/// `record_bytes` is the least that each of the records takes, or 0.
[[nodiscard]] bool ReadTimesAndHashes(ByteReader& reader, size_t record_bytes, uint64_t* count,
                                      std::vector<EventTime>* times, std::vector<uint64_t>* hashes);
/// The error of a batch that is cut off or malformed.
[[nodiscard]] absl::Status MalformedBatch();

}  // namespace internal

/// Collects records of other batches of one type into a new batch: one per outgoing channel.
/// Used by one thread at a time.
class BatchBuilder {
 public:
  virtual ~BatchBuilder() = default;

  /// Appends the records `rows` of `*source`, which has this builder's type. `hashes`, if not
  /// empty, are the key hashes of all of the source's rows. Records are moved if `source` is
  /// unique, else copied; each row is appended at most once.
  virtual void AppendRows(BatchPtr& source, std::span<const uint32_t> rows,
                          std::span<const uint64_t> hashes) = 0;

  [[nodiscard]] virtual size_t size() const = 0;
  [[nodiscard]] virtual size_t SizeBytes() const = 0;
  [[nodiscard]] bool IsBatchFull() const {
    return size() >= kMaxBatchRecords || SizeBytes() >= kMaxBatchBytes;
  }
  /// Returns what was collected and starts anew.
  [[nodiscard]] virtual BatchPtr Finish() = 0;
};

/// The type of the records on an edge: makes builders and reads batches from the wire. Stateless;
/// any thread.
class BatchType {
 public:
  virtual ~BatchType() = default;
  [[nodiscard]] virtual std::unique_ptr<BatchBuilder> NewBuilder() const = 0;
  /// Errors: kDataLoss if `reader` does not hold a whole batch of this type.
  [[nodiscard]] virtual absl::StatusOr<BatchPtr> Deserialize(ByteReader& reader) const = 0;
  [[nodiscard]] virtual Schema GetSchema() const = 0;
};

}  // namespace weir
