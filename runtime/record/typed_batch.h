#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/record/batch.h"
#include "runtime/record/byte_io.h"
#include "runtime/record/event_time.h"
#include "runtime/record/serde.h"

namespace weir {

/// A batch of C++ values, one after another.
template <class T>
class TypedBatch final : public Batch {
 public:
  /// `times` and `hashes` are empty or as long as `values`.
  TypedBatch(std::vector<T> values, std::vector<EventTime> times, std::vector<uint64_t> hashes,
             size_t owned_bytes)
      : values_(std::move(values)) {
    set_size_bytes(owned_bytes + values_.size() * sizeof(T) + times.size() * sizeof(EventTime) +
                   hashes.size() * sizeof(uint64_t));
    SetTimesAndHashes(std::move(times), std::move(hashes));
  }

  [[nodiscard]] size_t size() const override { return values_.size(); }
  [[nodiscard]] std::span<const T> values() const { return values_; }
  /// For the owner of a unique batch.
  [[nodiscard]] std::span<T> mutable_values() { return values_; }

  [[nodiscard]] BatchPtr Select(std::span<const uint32_t> rows) const override;
  [[nodiscard]] std::unique_ptr<BatchBuilder> NewBuilder() const override;

 protected:
  void SerializeValues(ByteWriter& writer) const override {
    if constexpr (internal::IsMemoryImage<T>()) {
      writer.WriteBytes(values_.data(), values_.size() * sizeof(T));
    } else {
      for (const T& value : values_) Serde<T>::Write(writer, value);
    }
  }

 private:
  std::vector<T> values_;
};

/// Returns the records of a batch known to hold values of T.
template <class T>
[[nodiscard]] std::span<const T> BatchValues(const Batch& batch) {
  return static_cast<const TypedBatch<T>&>(batch).values();
}

/// Collects values one by one, or rows of other batches, into TypedBatches.
template <class T>
class TypedBatchBuilder final : public BatchBuilder {
 public:
  /// Adds one record; `time` Min means that it has none.
  void Add(T&& value, EventTime time) {
    BeforeAdd(value, time);
    values_.push_back(std::move(value));
  }
  void Add(const T& value, EventTime time) {
    BeforeAdd(value, time);
    values_.push_back(value);
  }

  void AppendRows(BatchPtr& source, std::span<const uint32_t> rows,
                  std::span<const uint64_t> hashes) override {
    const bool may_move = source.IsUnique();
    auto& batch = const_cast<TypedBatch<T>&>(static_cast<const TypedBatch<T>&>(*source));
    const std::span<T> values = batch.mutable_values();
    // Column by column, so that each loop is short.
    const std::span<const EventTime> times = batch.event_times();
    if (!times.empty() || !times_.empty()) {
      internal::AppendTimes(times_, values_.size(), times, rows, next_capacity_);
    }
    if (!hashes.empty()) internal::AppendHashes(hashes_, hashes, rows, next_capacity_);
    const size_t needed = values_.size() + rows.size();
    if (values_.capacity() < needed) {  // At least doubles, so that growth stays linear.
      values_.reserve(std::max({needed, 2 * values_.capacity(), next_capacity_}));
    }
    for (const uint32_t row : rows) {
      owned_bytes_ += OwnedBytes(values[row]);
      if (may_move) {
        values_.push_back(std::move(values[row]));
      } else {
        values_.push_back(values[row]);
      }
    }
  }

  /// Sets the record added last to have key hash `hash`. All records of a batch have one, or none.
  void SetLastHash(uint64_t hash) { hashes_.push_back(hash); }

  [[nodiscard]] size_t size() const override { return values_.size(); }
  [[nodiscard]] size_t SizeBytes() const override {
    return owned_bytes_ + values_.size() * (sizeof(T) + (times_.empty() ? 0 : sizeof(EventTime)));
  }

  [[nodiscard]] BatchPtr Finish() override {
    // The next batch is probably as long as this one.
    next_capacity_ = values_.size();
    auto batch = std::make_unique<TypedBatch<T>>(std::move(values_), std::move(times_),
                                                 std::move(hashes_), owned_bytes_);
    values_ = {};
    times_ = {};
    hashes_ = {};
    owned_bytes_ = 0;
    return BatchPtr(std::move(batch));
  }

 private:
  void BeforeAdd(const T& value, EventTime time) {
    if (time != EventTime::Min() || !times_.empty()) AddTime(time);
    owned_bytes_ += OwnedBytes(value);
    if (values_.capacity() == 0) values_.reserve(next_capacity_);
  }
  void AddTime(EventTime time) {
    if (times_.size() == values_.size() && times_.size() < times_.capacity()) [[likely]] {
      times_.push_back(time);
    } else {
      internal::AppendFirstTime(times_, values_.size(), time, next_capacity_);
    }
  }

  std::vector<T> values_;
  std::vector<EventTime> times_;
  std::vector<uint64_t> hashes_;
  size_t owned_bytes_ = 0;
  size_t next_capacity_ = 16;
};

template <class T>
BatchPtr TypedBatch<T>::Select(std::span<const uint32_t> rows) const {
  TypedBatchBuilder<T> builder;
  for (const uint32_t row : rows) {
    builder.Add(values_[row], event_time(row));
    if (!key_hashes().empty()) builder.SetLastHash(key_hashes()[row]);
  }
  return builder.Finish();
}

template <class T>
std::unique_ptr<BatchBuilder> TypedBatch<T>::NewBuilder() const {
  return std::make_unique<TypedBatchBuilder<T>>();
}

/// BatchType of TypedBatch<T>.
template <class T>
class TypedBatchType final : public BatchType {
 public:
  [[nodiscard]] std::unique_ptr<BatchBuilder> NewBuilder() const override {
    return std::make_unique<TypedBatchBuilder<T>>();
  }

  [[nodiscard]] absl::StatusOr<BatchPtr> Deserialize(ByteReader& reader) const override {
    uint64_t count = 0;
    std::vector<T> values;
    std::vector<EventTime> times;
    std::vector<uint64_t> hashes;
    bool read = internal::ReadTimesAndHashes(reader, internal::IsMemoryImage<T>() ? sizeof(T) : 0,
                                             &count, &times, &hashes);
    size_t owned_bytes = 0;
    if constexpr (internal::IsMemoryImage<T>()) {
      if (read && count > reader.remaining() / sizeof(T)) read = reader.Fail();
      if (read) {
        values.resize(count);
        read = reader.ReadBytes(values.data(), count * sizeof(T));
      }
    } else {
      for (uint64_t i = 0; read && i < count; ++i) {
        T value{};
        read = Serde<T>::Read(reader, value);
        owned_bytes += OwnedBytes(value);
        values.push_back(std::move(value));
      }
    }
    if (!read) return internal::MalformedBatch();
    return BatchPtr(std::make_unique<TypedBatch<T>>(std::move(values), std::move(times),
                                                    std::move(hashes), owned_bytes));
  }

  [[nodiscard]] Schema GetSchema() const override { return Serde<T>::GetSchema(); }
};

}  // namespace weir
