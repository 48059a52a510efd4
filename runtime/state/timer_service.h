#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "runtime/state/namespace.h"
#include "runtime/state/object_table.h"

namespace weir {

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
/// Invariant: for every timer in the table there is an element in the heap. The heap may hold
/// elements of deleted timers, never more than as many again as there are timers.
template <class K, class N>
class TimerQueue {
 public:
  using TimeAndNamespace = std::pair<int64_t, N>;
  using Table = ObjectTable<K, TimeAndNamespace, VoidNamespace>;

  /// Takes over the timers in `table`, which is borrowed.
  explicit TimerQueue(Table* table) : table_(table) { Adopt(); }

  /// Returns false if the same timer is registered already; it will still fire once.
  bool Register(const K& key, uint64_t hash, const N& ns, int64_t time_ms) {
    const TimeAndNamespace place(time_ms, ns);
    if (table_->Find(hash, key, place) != nullptr) return false;
    table_->Mutable(hash, key, place);
    Push({time_ms, next_sequence_++, table_->Reference(hash, key, place)});
    return true;
  }

  /// Returns whether there was such a timer.
  bool Delete(const K& key, uint64_t hash, const N& ns, int64_t time_ms) {
    if (!table_->Erase(hash, key, TimeAndNamespace(time_ms, ns))) return false;
    if (heap_.size() > 2 * table_->size() + kSlack) DropAllDeleted();
    return true;
  }

  /// Takes out the earliest timer whose time is at or before `now_ms`, if there is one. In order of
  /// time; of equal times, in the order they were registered, those of a restored snapshot first.
  /// A caller may stop between any two: what has not fired is still in state.
  [[nodiscard]] std::optional<Timer<K, N>> PopDue(int64_t now_ms) {
    DropDeleted();
    if (heap_.empty() || heap_.front().time_ms > now_ms) return std::nullopt;
    const auto& entry = heap_.front().entry;
    Timer<K, N> timer{heap_.front().time_ms, entry.key(), entry.hash(), entry.ns().second};
    Pop();
    table_->Erase(timer.hash, timer.key, TimeAndNamespace(timer.time_ms, timer.ns));
    return timer;
  }

  /// Returns the time of the earliest timer, if there is one.
  [[nodiscard]] std::optional<int64_t> NextTime() {
    DropDeleted();
    if (heap_.empty()) return std::nullopt;
    return heap_.front().time_ms;
  }

  [[nodiscard]] size_t size() const { return table_->size(); }
  [[nodiscard]] bool empty() const { return table_->empty(); }

 private:
  static constexpr size_t kSlack = 64;

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
    heap_.push_back(element);
    std::push_heap(heap_.begin(), heap_.end());
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
  // Lists the table's timers in an order that does not depend on how the table came to be.
  void Adopt() {
    heap_.reserve(table_->size());
    table_->ForEachReference([&](const typename Table::EntryReference& entry) {
      heap_.push_back({entry.ns().first, 0, entry});
    });
    std::sort(heap_.begin(), heap_.end(), [](const Element& a, const Element& b) {
      if (a.time_ms != b.time_ms) return a.time_ms < b.time_ms;
      if (internal::KeyLess<K>{}(a.entry.key(), b.entry.key())) return true;
      if (internal::KeyLess<K>{}(b.entry.key(), a.entry.key())) return false;
      return internal::KeyLess<N>{}(a.entry.ns().second, b.entry.ns().second);
    });
    for (Element& element : heap_) element.sequence = next_sequence_++;
    std::make_heap(heap_.begin(), heap_.end());
  }

  Table* const table_;
  uint64_t next_sequence_ = 0;
  std::vector<Element> heap_;
};

}  // namespace weir
