#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/functional/function_ref.h"
#include "runtime/state/key_groups.h"

namespace weir::internal {

/// Where the entries of one ObjectTable go that memory has no room for, and come back from.
///
/// Place: between the table and the database of its backend; implemented by TypedStateTable.
/// Threads: the task's. All methods but UnderPressure, NearLimit and CanWrite may block on the
/// local disk; they throw StateError when it fails, because a look-up has no other way to say so.
template <class K, class N, class V>
class ColdEntries {
 public:
  virtual ~ColdEntries() = default;

  /// Whether the process is short of memory, so that entries should leave.
  virtual bool UnderPressure() = 0;
  /// Whether it is so short that many should leave at once.
  [[nodiscard]] virtual bool NearLimit() const = 0;
  /// Whether changed entries may be written now. Not from the moment that a snapshot begins until
  /// its files are chosen: they would get into it. Once this is true again, the frozen entries are
  /// in the database.
  [[nodiscard]] virtual bool CanWrite() const = 0;

  /// Returns false if there is no such entry.
  virtual bool Read(uint64_t hash, const K& key, const N& ns, V& value) = 0;
  /// Collects a change for Commit. Needs CanWrite.
  virtual void Put(uint64_t hash, const K& key, const N& ns, const V& value) = 0;
  virtual void Delete(uint64_t hash, const K& key, const N& ns) = 0;
  /// Writes what was collected; reads see it from now on.
  virtual void Commit() = 0;
  /// Counts entries that have left, for metrics.
  virtual void CountEvictions(size_t count) = 0;

  using Visitor = absl::FunctionRef<void(uint64_t hash, const K& key, const N& ns, const V& value)>;
  /// Visits the entries of some key groups that are in the database, in the order of files.
  virtual void ForEach(KeyGroupRange groups, Visitor visit) = 0;
  /// Of timers: visits those due after `after_ms` and until a time that it returns, in no order;
  /// there are none in between that it leaves out. It visits about `count`, and returns the end of
  /// time if there are no more.
  virtual int64_t ForEachTimerAfter(int64_t after_ms, size_t count, Visitor visit) = 0;
};

}  // namespace weir::internal
