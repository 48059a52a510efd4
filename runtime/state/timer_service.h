#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "runtime/base/memory_budget.h"
#include "runtime/state/namespace.h"
#include "runtime/state/object_table.h"

namespace weir {

namespace internal {

/// Returns the median of `times`, unless the latest is as early.
[[nodiscard]] std::optional<int64_t> MedianBeforeLatest(std::vector<int64_t> times);

}  // namespace internal

enum class TimeDomain : uint8_t { kEventTime, kProcessingTime };

/// A timer that is due. Plain data.
template <class K, class N>
struct Timer {
  int64_t time_ms = 0;
  K key{};
  uint64_t hash = 0;
  N ns{};
};

/// The timers of one operator in one time domain: for a key and a namespace, a call at a time.
///
/// Place: made by KeyedStateBackend::Timers; the operator registers, and calls PopDue when its
/// watermark or the clock moves on. Timers are keyed state: they are in snapshots and move with
/// their key groups. Threads: the task's.
/// Invariant: for every timer in the table that is due up to the horizon there is an element in the
/// heap, and for no other. The heap may hold elements of deleted timers, never more than as many
/// again as there are timers. The horizon is the end of time until memory is short: then it comes
/// closer, timers beyond it may leave for the disk, and it moves on when the heap is empty.
template <class K, class N>
class TimerQueue {
 public:
  using Place = TimerPlace<N>;
  using Table = ObjectTable<K, Place, VoidNamespace>;

  /// Takes over the timers in `table`, which is borrowed.
  explicit TimerQueue(Table* table, MemoryBudget* budget = nullptr)
      : table_(table), charge_(budget, 0) {
    table_->SetMayLeave([this](const Place& place) { return place.time_ms > horizon_ms_; });
    Adopt();
  }
  TimerQueue(const TimerQueue&) = delete;
  TimerQueue& operator=(const TimerQueue&) = delete;

  /// Returns false if the same timer is registered already; it will still fire once.
  bool Register(const K& key, uint64_t hash, const N& ns, int64_t time_ms) {
    time_ms = std::max(time_ms, kFirstTime);
    const Place place{time_ms, ns};
    if (table_->Find(hash, key, place) != nullptr) return false;
    table_->InsertNew(hash, key, place);
    if (time_ms <= horizon_ms_) {
      Push({time_ms, next_sequence_++, table_->Reference(hash, key, place)});
      if (heap_.size() % kRegistrationsPerCheck == 0) BringHorizonCloserIfShort();
    }
    return true;
  }

  /// Returns whether there was such a timer.
  bool Delete(const K& key, uint64_t hash, const N& ns, int64_t time_ms) {
    if (!table_->Erase(hash, key, Place{std::max(time_ms, kFirstTime), ns})) return false;
    if (heap_.size() > 2 * table_->NumInMemory() + kSlack) DropAllDeleted();
    if (table_->IsSparse()) GiveMemoryBack();
    return true;
  }

  /// Takes out the earliest timer whose time is at or before `now_ms`, if there is one. In order of
  /// time; of equal times, in the order they were registered, those of a restored snapshot first,
  /// and those that were on disk meanwhile last. A caller may stop between any two: what has not
  /// fired is still in state.
  [[nodiscard]] std::optional<Timer<K, N>> PopDue(int64_t now_ms) {
    const std::optional<int64_t> next = NextTime();
    if (!next.has_value() || *next > now_ms) return std::nullopt;
    const auto& entry = heap_.front().entry;
    Timer<K, N> timer{heap_.front().time_ms, entry.key(), entry.hash(), entry.ns().ns};
    Pop();
    table_->Erase(timer.hash, timer.key, Place{timer.time_ms, timer.ns});
    if (table_->IsSparse()) GiveMemoryBack();
    return timer;
  }

  /// Returns the time of the earliest timer, if there is one.
  [[nodiscard]] std::optional<int64_t> NextTime() {
    DropDeleted();
    while (heap_.empty() && horizon_ms_ != kEndOfTime) MoveHorizonOn();
    if (heap_.empty()) return std::nullopt;
    return heap_.front().time_ms;
  }

  [[nodiscard]] size_t size() const { return table_->size(); }
  [[nodiscard]] bool empty() const { return table_->empty(); }

 private:
  static constexpr size_t kSlack = 64;
  static constexpr int64_t kFirstTime = std::numeric_limits<int64_t>::min() + 1;
  static constexpr int64_t kEndOfTime = std::numeric_limits<int64_t>::max();
  static constexpr size_t kRegistrationsPerCheck = 1024;
  static constexpr size_t kMinNearTimers = 4096;
  static constexpr size_t kLargeHeap = size_t{1} << 16;

  struct Element {
    int64_t time_ms;
    uint64_t sequence;
    typename Table::EntryReference entry;
    // The standard heap puts the largest first.
    friend bool operator<(const Element& a, const Element& b) {
      return a.time_ms != b.time_ms ? a.time_ms > b.time_ms : a.sequence > b.sequence;
    }
  };

  void Push(Element element) {
    const size_t capacity = heap_.capacity();
    // A large heap that doubled would pass the limit at once.
    if (heap_.size() == capacity && capacity > kLargeHeap) heap_.reserve(capacity + capacity / 8);
    heap_.push_back(element);
    std::push_heap(heap_.begin(), heap_.end());
    if (heap_.capacity() != capacity) UpdateCharge();
  }
  void Pop() {
    std::pop_heap(heap_.begin(), heap_.end());
    heap_.pop_back();
  }
  void DropDeleted() {
    while (!heap_.empty() && !heap_.front().entry.IsCurrent()) Pop();
  }

  void DropAllDeleted() {
    std::erase_if(heap_, [](const Element& element) { return !element.entry.IsCurrent(); });
    std::make_heap(heap_.begin(), heap_.end());
  }
  // Of many timers, few are left.
  void GiveMemoryBack() {
    DropAllDeleted();
    table_->Compact([this](const auto& successor) {
      for (Element& element : heap_) element.entry = successor(element.entry);
    });
    heap_.shrink_to_fit();
    UpdateCharge();
  }
  void UpdateCharge() { charge_.Resize(static_cast<int64_t>(heap_.capacity() * sizeof(Element))); }

  // With memory short, keeps only the earlier half in the heap.
  void BringHorizonCloserIfShort() {
    if (heap_.size() < kMinNearTimers || !table_->UnderPressure()) return;
    std::vector<int64_t> sample;
    for (size_t i = 0; i < heap_.size(); i += heap_.size() / 512) {
      sample.push_back(heap_[i].time_ms);
    }
    const std::optional<int64_t> median = internal::MedianBeforeLatest(std::move(sample));
    if (!median.has_value()) return;
    horizon_ms_ = *median;
    std::erase_if(heap_, [this](const Element& element) { return element.time_ms > horizon_ms_; });
    heap_.shrink_to_fit();
    UpdateCharge();
    std::make_heap(heap_.begin(), heap_.end());
  }

  // Puts the next timers into the heap: those on disk and in memory up to a time that leaves it
  // neither small nor large. Needs an empty heap.
  void MoveHorizonOn() {
    const size_t count = std::max(kMinNearTimers, table_->NumInMemory() / 8);
    const int64_t before_ms = horizon_ms_;
    // Until this is through, nothing that was brought back may leave again.
    horizon_ms_ = kEndOfTime;
    int64_t until_ms = table_->BringBackTimersAfter(before_ms, count);
    std::vector<Element> found;
    table_->ForEachReferenceInMemory([&](const typename Table::EntryReference& entry) {
      const int64_t time_ms = entry.ns().time_ms;
      if (time_ms > before_ms && time_ms <= until_ms) found.push_back({time_ms, 0, entry});
    });
    if (found.size() > 2 * count) {
      const auto last = found.begin() + static_cast<std::ptrdiff_t>(count);
      std::nth_element(found.begin(), last, found.end(),
                       [](const Element& a, const Element& b) { return a.time_ms < b.time_ms; });
      until_ms = last->time_ms;
      std::erase_if(found, [&](const Element& element) { return element.time_ms > until_ms; });
    }
    horizon_ms_ = until_ms;
    heap_ = std::move(found);
    NumberInOrder();
  }

  // Orders restored elements in a way that does not depend on how the table came to be.
  void NumberInOrder() {
    std::sort(heap_.begin(), heap_.end(), [](const Element& a, const Element& b) {
      if (a.time_ms != b.time_ms) return a.time_ms < b.time_ms;
      if (internal::KeyLess<K>{}(a.entry.key(), b.entry.key())) return true;
      if (internal::KeyLess<K>{}(b.entry.key(), a.entry.key())) return false;
      return internal::KeyLess<N>{}(a.entry.ns().ns, b.entry.ns().ns);
    });
    for (Element& element : heap_) element.sequence = next_sequence_++;
    std::make_heap(heap_.begin(), heap_.end());
    UpdateCharge();
  }

  void Adopt() {
    if (table_->NumInMemory() < table_->size()) {
      horizon_ms_ = kFirstTime - 1;  // All is beyond it.
      return;
    }
    heap_.reserve(table_->size());
    table_->ForEachReferenceInMemory([&](const typename Table::EntryReference& entry) {
      heap_.push_back({entry.ns().time_ms, 0, entry});
    });
    NumberInOrder();
  }

  Table* const table_;
  int64_t horizon_ms_ = kEndOfTime;
  uint64_t next_sequence_ = 0;
  std::vector<Element> heap_;
  MemoryCharge charge_;  // For the heap.
};

}  // namespace weir
