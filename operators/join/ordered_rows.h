#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/btree_set.h"
#include "absl/status/status.h"
#include "runtime/base/memory_budget.h"
#include "runtime/base/status_macros.h"
#include "runtime/state/keyed_state_backend.h"

namespace weir::internal {

/// The rows of one side of a join, per key in order: keyed state, one entry a row, so that a
/// snapshot writes only new rows. The operator keeps an Index per key, which says what rows there
/// are; it stays in memory when rows leave, and is made anew from state at a restore.
///
/// `Place` orders the rows of a key and tells them apart. Threads: the task's.
template <class K, class Place, class Row>
class OrderedRows {
 public:
  using Table = ObjectTable<K, Place, Row>;
  using Index = absl::btree_set<Place>;
  using Iterator = typename Index::iterator;

  /// Calls adopt(hash, key) -> Index& for the key of each restored row.
  template <class Adopt>
  [[nodiscard]] absl::Status Open(KeyedStateBackend<K>& backend, std::string name, Adopt adopt) {
    ASSIGN_OR_RETURN(table_, (backend.template Table<Place, Row>({std::move(name)})));
    charge_.emplace(backend.options().memory_budget, 0);
    ChargeIndex();
    table_->ForEach([&](uint64_t hash, const K& key, const Place& place, const Row&) {
      adopt(hash, key).insert(place);
    });
    return absl::OkStatus();
  }

  /// There is no row at `place` yet.
  void Add(Index& index, uint64_t hash, const K& key, const Place& place, Row row) {
    table_->Mutable(hash, key, place) = std::move(row);
    index.emplace_hint(index.end(), place);
    if (table_->size() % kRowsPerCharge == 0) ChargeIndex();
  }
  /// Good until the row is changed or erased, or another key is looked up.
  [[nodiscard]] const Row& At(uint64_t hash, const K& key, Iterator row) const {
    return *table_->Find(hash, key, *row);
  }
  [[nodiscard]] Row& Mutable(uint64_t hash, const K& key, Iterator row) {
    return table_->Mutable(hash, key, *row);
  }
  /// Returns the row behind.
  Iterator Erase(Index& index, uint64_t hash, const K& key, Iterator row) {
    table_->Erase(hash, key, *row);
    return index.erase(row);
  }

 private:
  static constexpr size_t kRowsPerCharge = 1024;

  // The table charges for the rows.
  void ChargeIndex() {
    charge_->Resize(static_cast<int64_t>(table_->size() * 3 / 2 * sizeof(Place)));
  }

  Table* table_ = nullptr;
  std::optional<MemoryCharge> charge_;
};

/// The rows of one key on both sides.
template <class LeftRows, class RightRows>
class KeySides {
 public:
  KeySides() = default;
  [[nodiscard]] bool empty() const { return left.empty() && right.empty(); }

  typename LeftRows::Index left;
  typename RightRows::Index right;
  /// The time of a timer that is known to be registered; only spares looking.
  int64_t timer_ms = kNoTimer;
  static constexpr int64_t kNoTimer = INT64_MIN;
};

/// Rows by event time; those of one instant in the order they came.
using TimeAndSequence = std::pair<int64_t, uint32_t>;
template <class K, class Row>
using TimeBuffer = OrderedRows<K, TimeAndSequence, Row>;

/// Returns the place behind all rows of `index` at `time_ms`.
template <class Index>
[[nodiscard]] TimeAndSequence NextPlaceAt(const Index& index, int64_t time_ms) {
  if (index.empty() || index.rbegin()->first < time_ms) return {time_ms, 0};
  auto behind = index.upper_bound(TimeAndSequence(time_ms, UINT32_MAX));
  if (behind == index.begin()) return {time_ms, 0};
  const TimeAndSequence& last = *std::prev(behind);
  return {time_ms, last.first == time_ms ? last.second + 1 : 0};
}

}  // namespace weir::internal
