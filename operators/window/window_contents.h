#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "operators/api/functions.h"
#include "operators/window/window_function.h"
#include "runtime/base/status_macros.h"
#include "runtime/state/keyed_state_backend.h"
#include "runtime/task/collector.h"

namespace weir::internal {

/// What a window operator does beside its windows: shared by both kinds.
template <class In>
struct WindowOptions {
  absl::Duration allowed_lateness = absl::ZeroDuration();
  std::optional<OutputTag<In>> late_data_tag;
};

/// Whether accumulators can be put together: Merge(const Accumulator& from, Accumulator& into).
/// Then windows share slices, session windows can merge, and a first stage can aggregate locally.
template <class Aggregate>
concept MergeableAggregate =
    requires(Aggregate& aggregate, const typename Aggregate::Accumulator& from,
             typename Aggregate::Accumulator& into) { aggregate.Merge(from, into); };

/// The aggregate that a reduce function makes: fn(const T&, const T&) -> T.
template <class T, class Fn>
class ReduceAggregate {
 public:
  using Accumulator = std::optional<T>;
  using Result = T;
  explicit ReduceAggregate(Fn reduce) : reduce_(std::move(reduce)) {}
  void Add(const T& value, Accumulator& accumulator) {
    if (accumulator.has_value()) {
      accumulator = reduce_(static_cast<const T&>(*accumulator), value);
    } else {
      accumulator = value;
    }
  }
  void Merge(const Accumulator& from, Accumulator& into) {
    if (from.has_value()) Add(*from, into);
  }
  Result GetResult(const Accumulator& accumulator) const { return *accumulator; }

 private:
  Fn reduce_;
};

/// What a local first stage has aggregated of one key in one slice.
template <class K, class Accumulator>
struct PartialAggregate {
  K key{};
  Accumulator accumulator{};
};

/// The second stage of an aggregate: merges what the first stages found.
template <class K, class Aggregate>
class FinalAggregate {
 public:
  using Accumulator = typename Aggregate::Accumulator;
  using Result = typename Aggregate::Result;
  explicit FinalAggregate(Aggregate aggregate) : aggregate_(std::move(aggregate)) {}
  void Add(const PartialAggregate<K, Accumulator>& partial, Accumulator& accumulator) {
    aggregate_.Merge(partial.accumulator, accumulator);
  }
  void Merge(const Accumulator& from, Accumulator& into) { aggregate_.Merge(from, into); }
  Result GetResult(const Accumulator& accumulator) { return aggregate_.GetResult(accumulator); }

 private:
  Aggregate aggregate_;
};

template <class Aggregate>
inline constexpr bool kIsFinalAggregate = false;
template <class K, class Aggregate>
inline constexpr bool kIsFinalAggregate<FinalAggregate<K, Aggregate>> = true;

// What an AlignedWindowOperator keeps per key and unit (a slice or a window, named by the instant
// it ends at), and how units become a window's result. `Aggregate` has Accumulator, Result,
// Add(const In&, Accumulator&), GetResult(const Accumulator&) and perhaps Merge.

/// One accumulator per key and unit.
template <class K, class In, class Aggregate, class Fn>
class AggregateContents {
 public:
  using Accumulator = typename Aggregate::Accumulator;
  using Runner = WindowFunctionRunner<K, TimeWindow, Fn>;
  static constexpr bool kShares = MergeableAggregate<Aggregate>;

  /// The aggregate of the units that a key has in the current window, so that firing the next one
  /// merges one or two accumulators, however many slices a window has: suffixes of the older units,
  /// longest last, and the sum of the newer ones.
  struct Running {
    std::vector<Accumulator> suffixes;
    Accumulator newer{};
    bool has_newer = false;
  };

  AggregateContents(Aggregate aggregate, Fn function)
      : aggregate_(std::move(aggregate)), runner_(std::move(function)) {}

  absl::Status Open(KeyedStateBackend<K>& backend) {
    ASSIGN_OR_RETURN(table_, (backend.template Table<int64_t, Accumulator>({"window-contents"})));
    return absl::OkStatus();
  }
  [[nodiscard]] Runner& runner() { return runner_; }
  [[nodiscard]] size_t size() const { return table_->size(); }
  void Prefetch(uint64_t hash, int64_t unit) const { table_->Prefetch(hash, unit); }
  void PrefetchEntry(uint64_t hash, int64_t unit) const { table_->PrefetchEntry(hash, unit); }

  /// Returns true if this was the key's first record in the unit.
  bool Add(uint64_t hash, const K& key, int64_t unit, const In& value) {
    const size_t size = table_->size();
    aggregate_.Add(value, table_->Mutable(hash, key, unit));
    return table_->size() != size;
  }
  void Erase(uint64_t hash, const K& key, int64_t unit) { table_->Erase(hash, key, unit); }
  /// Calls visit(hash, key, unit) for each.
  template <class Visitor>
  void ForEachUnit(Visitor&& visit) const {
    table_->ForEach([&](uint64_t hash, const K& key, int64_t unit, const Accumulator&) {
      visit(hash, key, unit);
    });
  }

  template <class Out>
  void EmitUnit(uint64_t hash, const K& key, const TimeWindow& window, int64_t unit,
                Collector<Out>& out) {
    if (const Accumulator* accumulator = table_->Find(hash, key, unit)) {
      runner_.OnResult(hash, key, window, aggregate_.GetResult(*accumulator), out);
    }
  }
  /// Needs at least one unit with contents.
  template <class Out>
  void EmitUnits(uint64_t hash, const K& key, const TimeWindow& window,
                 std::span<const int64_t> units, Collector<Out>& out) {
    if constexpr (kShares) {
      Accumulator sum{};
      for (const int64_t unit : units) {
        if (const Accumulator* accumulator = table_->Find(hash, key, unit)) {
          aggregate_.Merge(*accumulator, sum);
        }
      }
      runner_.OnResult(hash, key, window,
                       aggregate_.GetResult(static_cast<const Accumulator&>(sum)), out);
    }
  }

  /// Whether a running aggregate pays. Large accumulators are not worth their copies if a window
  /// has few slices.
  [[nodiscard]] static bool UsesRunning(int64_t slices_per_window) {
    constexpr int64_t kFewSlices = 16;
    constexpr bool kSmall = std::is_trivially_copyable_v<Accumulator> && sizeof(Accumulator) <= 64;
    return kSmall || slices_per_window > kFewSlices;
  }
  void AddUnit(uint64_t hash, const K& key, int64_t unit, Running& running) {
    if constexpr (kShares) {
      if (const Accumulator* accumulator = table_->Find(hash, key, unit)) {
        aggregate_.Merge(*accumulator, running.newer);
        running.has_newer = true;
      }
    }
  }
  /// Takes the oldest unit out; false if that needs a Rebuild.
  static bool RemoveOldest(Running& running) {
    if (running.suffixes.empty()) return false;
    running.suffixes.pop_back();
    return true;
  }
  void Rebuild(uint64_t hash, const K& key, std::span<const int64_t> units, Running& running) {
    if constexpr (kShares) {
      running.suffixes.clear();
      running.newer = Accumulator{};
      running.has_newer = false;
      Accumulator sum{};
      for (size_t i = units.size(); i-- > 0;) {
        if (const Accumulator* accumulator = table_->Find(hash, key, units[i])) {
          aggregate_.Merge(*accumulator, sum);
        }
        running.suffixes.push_back(sum);
      }
    }
  }
  template <class Out>
  void EmitRunning(uint64_t hash, const K& key, const TimeWindow& window, const Running& running,
                   Collector<Out>& out) {
    if constexpr (kShares) {
      if (running.suffixes.empty()) {
        runner_.OnResult(hash, key, window, aggregate_.GetResult(running.newer), out);
      } else if (!running.has_newer) {
        runner_.OnResult(hash, key, window, aggregate_.GetResult(running.suffixes.back()), out);
      } else {
        Accumulator sum = running.suffixes.back();
        aggregate_.Merge(running.newer, sum);
        runner_.OnResult(hash, key, window,
                         aggregate_.GetResult(static_cast<const Accumulator&>(sum)), out);
      }
    }
  }
  static void Reset(Running& running) {
    running.suffixes.clear();
    running.newer = Accumulator{};
    running.has_newer = false;
  }

 private:
  Aggregate aggregate_;
  Runner runner_;
  ObjectTable<K, int64_t, Accumulator>* table_ = nullptr;
};

/// All records of each unit, in the order they came, for a function of the whole window.
template <class K, class In, class Fn>
class ListContents {
 public:
  using Runner = WindowFunctionRunner<K, TimeWindow, Fn>;
  static constexpr bool kShares = true;
  struct Running {};

  explicit ListContents(Fn function) : runner_(std::move(function)) {}

  absl::Status Open(KeyedStateBackend<K>& backend) {
    ASSIGN_OR_RETURN(elements_, (backend.template Table<UnitAndIndex, In>({"window-elements"})));
    sizes_ = std::make_shared<Sizes>(/*track_changes=*/false, backend.options().memory_budget);
    elements_->ForEach([&](uint64_t hash, const K& key, const UnitAndIndex& place, const In&) {
      uint64_t& size = sizes_->Mutable(hash, key, place.first);
      if (place.second >= size) size = place.second + 1;
    });
    return absl::OkStatus();
  }
  [[nodiscard]] Runner& runner() { return runner_; }
  [[nodiscard]] size_t size() const { return sizes_->size(); }
  void Prefetch(uint64_t hash, int64_t unit) const { sizes_->Prefetch(hash, unit); }
  void PrefetchEntry(uint64_t hash, int64_t unit) const { sizes_->PrefetchEntry(hash, unit); }

  bool Add(uint64_t hash, const K& key, int64_t unit, const In& value) {
    const uint64_t index = sizes_->Mutable(hash, key, unit)++;
    elements_->Mutable(hash, key, {unit, index}) = value;
    return index == 0;
  }
  void Erase(uint64_t hash, const K& key, int64_t unit) {
    const uint64_t* size = sizes_->Find(hash, key, unit);
    if (size == nullptr) return;
    for (uint64_t i = 0; i < *size; ++i) elements_->Erase(hash, key, {unit, i});
    sizes_->Erase(hash, key, unit);
  }
  template <class Visitor>
  void ForEachUnit(Visitor&& visit) const {
    sizes_->ForEach(
        [&](uint64_t hash, const K& key, int64_t unit, uint64_t) { visit(hash, key, unit); });
  }

  template <class Out>
  void EmitUnit(uint64_t hash, const K& key, const TimeWindow& window, int64_t unit,
                Collector<Out>& out) {
    EmitUnits(hash, key, window, {&unit, 1}, out);
  }
  template <class Out>
  void EmitUnits(uint64_t hash, const K& key, const TimeWindow& window,
                 std::span<const int64_t> units, Collector<Out>& out) {
    gathered_.clear();
    for (const int64_t unit : units) {
      const uint64_t* size = sizes_->Find(hash, key, unit);
      for (uint64_t i = 0; size != nullptr && i < *size; ++i) {
        gathered_.push_back(*elements_->Find(hash, key, {unit, i}));
      }
    }
    runner_.OnElements(hash, key, window, gathered_, out);
  }

  [[nodiscard]] static bool UsesRunning(int64_t) { return false; }
  void AddUnit(uint64_t, const K&, int64_t, Running&) {}
  static bool RemoveOldest(Running&) { return true; }
  void Rebuild(uint64_t, const K&, std::span<const int64_t>, Running&) {}
  template <class Out>
  void EmitRunning(uint64_t, const K&, const TimeWindow&, const Running&, Collector<Out>&) {}
  static void Reset(Running&) {}

 private:
  using UnitAndIndex = std::pair<int64_t, uint64_t>;
  using Sizes = ObjectTable<K, int64_t, uint64_t>;

  Runner runner_;
  ObjectTable<K, UnitAndIndex, In>* elements_ = nullptr;
  std::shared_ptr<Sizes> sizes_;  // Not in snapshots. Shared by no one once open.
  std::vector<In> gathered_;
};

}  // namespace weir::internal
