#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "operators/api/functions.h"
#include "operators/process/stateful_operator.h"
#include "operators/window/aligned_windows.h"
#include "operators/window/internal/chunked_vector.h"
#include "operators/window/window_contents.h"
#include "runtime/base/status_macros.h"
#include "runtime/record/typed_batch.h"

namespace weir::internal {

/// How far the windows of some key groups had fired when a snapshot was taken. Operator state,
/// given to all subtasks.
struct WindowProgress {
  KeyGroup first_group = 0;
  KeyGroup last_group = 0;
  int64_t time_ms = 0;
};

/// Aligned windows with the default trigger: each fires once, when time has passed its end, and
/// again for each late record within the allowed lateness.
///
/// State: contents per key and *unit*. Where windows share slices a unit is a slice, and a record
/// is added to one, whatever the windows; where they cannot (an aggregate without Merge), a unit is
/// a window. Both are named by the instant they end at.
///
/// There are no timers. In memory, `units_` lists by unit the keys that have contents, so that a
/// window's firing walks a list; sliding windows also keep a Run per key with contents in the
/// current window. Both are rebuilt from the contents at restore. Firing is a state machine that
/// stops when the output is full: `firing_end_` is the window under way.
///
/// How far windows have fired is in operator state, so that restored contents of slices do not make
/// windows fire that did so before; a record that is late for what had fired stays late.
template <class K, class In, class Out, class KeyFn, class Contents>
class AlignedWindowOperator final : public KeyedOperator<K, VoidNamespace> {
  using Base = KeyedOperator<K, VoidNamespace>;

 public:
  AlignedWindowOperator(AlignedWindows windows, KeyFn key_of, Contents contents,
                        WindowOptions<In> options, std::shared_ptr<const SideOutputs> side_outputs)
      : windows_(windows),
        key_of_(std::move(key_of)),
        contents_(std::move(contents)),
        options_(std::move(options)),
        side_outputs_(std::move(side_outputs)),
        event_time_(windows.domain() == TimeDomain::kEventTime) {}

  absl::StatusOr<Progress> ProcessBatch(uint32_t, BatchCursor& cursor, Output& output) override {
    const auto& batch = static_cast<const TypedBatch<In>&>(*cursor.batch);
    const auto values = batch.values();
    const auto hashes = batch.key_hashes();
    const size_t size = values.size();
    if (!late_ends_.empty()) {
      if (!EmitLate(hashes[cursor.row], key_of_(values[cursor.row]), output)) {
        return Progress::kSuspended;
      }
      if (++cursor.row == size) return Progress::kDone;
    }
    RETURN_IF_ERROR(FindUnits(batch, cursor.row));
    const bool prefetches = NumEntriesInUse() > kPrefetchedSize;
    for (; cursor.row < size; ++cursor.row) {
      const size_t row = cursor.row;
      if (prefetches) {
        if (row + kSlotsAhead < size) {
          contents_.Prefetch(hashes[row + kSlotsAhead], units_of_rows_[row + kSlotsAhead]);
        }
        if (row + kEntriesAhead < size) {
          contents_.PrefetchEntry(hashes[row + kEntriesAhead], units_of_rows_[row + kEntriesAhead]);
        }
      }
      const int64_t unit = units_of_rows_[row];
      decltype(auto) key = key_of_(values[row]);
      if (unit > fired_until_ + 1) [[likely]] {
        if (contents_.Add(hashes[row], key, unit, values[row])) ListKey(unit, hashes[row], key);
        continue;
      }
      AddBehindTime(hashes[row], key, values[row], batch.event_time(row));
      if (!late_ends_.empty() && !EmitLate(hashes[row], key, output)) return Progress::kSuspended;
      if (output.Full() && row + 1 < size) {
        ++cursor.row;
        return Progress::kSuspended;
      }
    }
    return Progress::kDone;
  }

  absl::StatusOr<Progress> OnWake(Output& output) override {
    if (event_time_) return Base::OnWake(output);
    const int64_t now_ms = absl::ToUnixMillis(this->context().clock()->Now());
    const Progress progress = Advance(now_ms - 1, output);
    if (progress == Progress::kDone) ScheduleNextWindow();
    return progress;
  }

  absl::StatusOr<OperatorSnapshot> Snapshot(CheckpointId checkpoint) override {
    const KeyGroupRange groups = place_->key_groups;
    progress_state_.Update({WindowProgress{groups.first, groups.last, progress_}});
    // Windows of processing time may be half-way: their keys up to here have had their result.
    if (firing_end_ != kNone && sliding_) {
      for (size_t i = 0; i < next_run_; ++i) {
        emitted_->Mutable(runs_[i].hash, runs_[i].key, firing_end_) = true;
      }
    }
    return Base::Snapshot(checkpoint);
  }

  void Close() override { contents_.runner().Close(); }

 protected:
  absl::Status OpenFunction(OperatorContext& context, Output& output) override {
    place_ = &context.place();
    RETURN_IF_ERROR(windows_.Validate());
    if (options_.allowed_lateness < absl::ZeroDuration()) {
      return absl::InvalidArgumentError("the allowed lateness must not be negative");
    }
    lateness_ms_ = event_time_ ? absl::ToInt64Milliseconds(options_.allowed_lateness) : 0;
    collector_.Bind(&output.port(0));
    side_collectors_.Open(*side_outputs_, output);
    num_late_records_dropped_ = context.metrics()->AddCounter("numLateRecordsDropped");
    RETURN_IF_ERROR(contents_.Open(this->backend()));
    RETURN_IF_ERROR(contents_.runner().Open(context, this->backend(), this->operator_state(),
                                            side_collectors_));
    clears_ = contents_.runner().needs_clear();
    const int64_t slices = windows_.MaxSlicesPerWindow();
    // Shared slices cannot tell which window's late firings are over.
    shared_ = slices == 1 || (Contents::kShares && !(clears_ && lateness_ms_ > 0));
    sliding_ = shared_ && slices > 1;
    running_ = sliding_ && Contents::UsesRunning(slices);
    ASSIGN_OR_RETURN(emitted_, (this->backend().template Table<int64_t, bool>({"emitted"})));
    ASSIGN_OR_RETURN(
        progress_state_,
        (this->operator_state().template GetUnionListState<WindowProgress>({"window-progress"})));
    Restore();
    if (!event_time_) ScheduleNextWindow();
    return absl::OkStatus();
  }

  void OnTimer(TimerKind, const Timer<K, VoidNamespace>&) override {}
  void OnWatermarkAdvanced(EventTime watermark) override {
    contents_.runner().set_watermark(watermark);
  }
  absl::StatusOr<Progress> FireWindows(EventTime watermark, Output& output) override {
    return event_time_ ? Advance(watermark.millis(), output) : Progress::kDone;
  }

 private:
  static constexpr int64_t kNone = AlignedWindows::kNone;
  static constexpr size_t kPrefetchedSize = 4096;  // Smaller tables stay in the cache.
  static constexpr size_t kSlotsAhead = 24;
  static constexpr size_t kEntriesAhead = 12;
  static constexpr int kWorkPerSlice = 4096;  // Keys visited before mail is read.

  struct ListedKey {
    uint64_t hash = 0;
    K key{};
  };
  using KeyList = ChunkedVector<ListedKey>;

  /// The units of one key within the current window that are over.
  struct Run {
    uint64_t hash = 0;
    K key{};
    std::vector<int64_t> units;  // From `first` on, in order of time.
    size_t first = 0;
    bool stale = false;  // Whether `running` must be rebuilt.
    typename Contents::Running running;

    [[nodiscard]] std::span<const int64_t> Units() const {
      return std::span<const int64_t>(units).subspan(first);
    }
  };

  // Returns how many entries the records of now go to: those of the newest unit and, while few keys
  // have come to it, of the one before. Older ones do not push these out of the cache.
  [[nodiscard]] size_t NumEntriesInUse() const {
    size_t num_entries = 0;
    auto unit = units_.rbegin();
    for (int i = 0; i < 2 && unit != units_.rend(); ++i, ++unit) num_entries += unit->second.size();
    return num_entries;
  }
  // Finds the unit of each row from `first` on; kNone where it is not one.
  absl::Status FindUnits(const TypedBatch<In>& batch, size_t first) {
    const size_t size = batch.size();
    units_of_rows_.resize(std::max(size, units_of_rows_.size()));
    if (!event_time_) {
      const int64_t now = std::max(absl::ToUnixMillis(this->context().clock()->Now()),
                                   SaturatingAdd(fired_until_, 1));
      processing_time_ = now;
      SetSlice(now);
      std::fill(units_of_rows_.begin() + static_cast<ptrdiff_t>(first), units_of_rows_.end(),
                slice_unit_);
      return absl::OkStatus();
    }
    for (size_t row = first; row < size; ++row) {
      const int64_t time = batch.event_time(row).millis();
      if (time < slice_.start || time >= slice_.end) {
        if (time == EventTime::Min().millis()) return NoEventTime();
        SetSlice(time);
      }
      units_of_rows_[row] = slice_unit_;
    }
    return absl::OkStatus();
  }
  static absl::Status NoEventTime() {
    return absl::FailedPreconditionError(
        "a record of an event-time window has no event time; give the stream timestamps by "
        "AssignTimestampsAndWatermarks or its source's watermark strategy, or use windows of "
        "processing time");
  }
  void SetSlice(int64_t time) {
    slice_ = windows_.SliceOf(time);
    slice_unit_ = shared_ && windows_.LastWindowEnd(time) != kNone ? slice_.end : kNone;
  }

  // Adds a record that the fast path cannot: one of a unit that is over, of no window, or of units
  // that are windows. Windows that it makes fire again go to `late_ends_`.
  [[gnu::noinline]] void AddBehindTime(uint64_t hash, const K& key, const In& value,
                                       EventTime record_time) {
    const int64_t time = event_time_ ? record_time.millis() : processing_time_;
    const int64_t progress = ProgressOf(hash);
    const int64_t last_end = windows_.LastWindowEnd(time);
    if (last_end == kNone ? SaturatingAdd(time, lateness_ms_) <= progress
                          : SaturatingAdd(last_end - 1, lateness_ms_) <= progress) {
      DropLate(value, record_time);
      return;
    }
    if (last_end == kNone) return;
    if (sliding_) AddToUnit(hash, key, windows_.SliceOf(time).end, value);
    for (int64_t end = windows_.FirstWindowEnd(time); end <= last_end;
         end = windows_.NextWindowEnd(end)) {
      if (SaturatingAdd(end - 1, lateness_ms_) <= progress) continue;
      if (!sliding_) AddToUnit(hash, key, end, value);
      if (end - 1 <= progress) {
        late_ends_.push_back(end);
      } else if (sliding_) {
        break;
      }
    }
  }
  void AddToUnit(uint64_t hash, const K& key, int64_t unit, const In& value) {
    if (contents_.Add(hash, key, unit, value)) ListKey(unit, hash, key);
    if (!sliding_ || unit > closed_until_) return;
    Run& run = FindOrAddRun(hash, key);
    const auto begin = run.units.begin() + static_cast<ptrdiff_t>(run.first);
    const auto place = std::lower_bound(begin, run.units.end(), unit);
    if (place == run.units.end() || *place != unit) run.units.insert(place, unit);
    run.stale = true;
  }
  void DropLate(const In& value, EventTime time) {
    if (options_.late_data_tag.has_value()) {
      side_collectors_.Collect(*options_.late_data_tag, value, time);
    } else {
      num_late_records_dropped_->Add();
    }
  }

  // Fires the windows of `late_ends_` for one key. Returns false if the output is full: call again.
  bool EmitLate(uint64_t hash, const K& key, Output& output) {
    while (next_late_ < late_ends_.size()) {
      if (output.Full()) return false;
      const int64_t end = late_ends_[next_late_++];
      const TimeWindow window = windows_.WindowEndingAt(end);
      collector_.set_timestamp(window.MaxTimestamp());
      if (!sliding_) {
        contents_.EmitUnit(hash, key, window, end, collector_);
        continue;
      }
      gathered_units_.clear();
      for (auto it = units_.upper_bound(window.start.millis());
           it != units_.end() && it->first <= end; ++it) {
        gathered_units_.push_back(it->first);
      }
      contents_.EmitUnits(hash, key, window, gathered_units_, collector_);
    }
    late_ends_.clear();
    next_late_ = 0;
    return true;
  }

  void ListKey(int64_t unit, uint64_t hash, const K& key) {
    if (unit != listed_unit_) {
      const auto [it, is_new] = units_.try_emplace(unit);
      listed_unit_ = unit;
      listed_keys_ = &it->second;
      if (is_new && !event_time_) ScheduleNextWindow();
    }
    listed_keys_->push_back({hash, key});
  }
  void ForgetUnit(typename std::map<int64_t, KeyList>::iterator unit) {
    if (unit->first == listed_unit_) listed_unit_ = kNone;
    units_.erase(unit);
  }

  // Returns the end of the window to fire next, or kNone.
  [[nodiscard]] int64_t NextEnd() const {
    const int64_t later = SaturatingAdd(progress_, 1);
    if (!sliding_) {
      const auto unit = units_.upper_bound(later);
      return unit == units_.end() ? kNone : unit->first;
    }
    if (num_runs_ > 0) return windows_.FirstWindowEnd(std::max(closed_until_, later));
    for (auto it = units_.upper_bound(closed_until_); it != units_.end(); ++it) {
      if (windows_.LastWindowEnd(it->first - 1) > later) {
        return windows_.FirstWindowEnd(std::max(it->first - 1, later));
      }
    }
    return kNone;
  }
  void ScheduleNextWindow() {
    const int64_t end = NextEnd();
    if (end != kNone) this->context().handle()->WakeAt(absl::FromUnixMillis(end));
  }

  // Fires all windows whose last instant is at or before `target`, and forgets what has expired.
  Progress Advance(int64_t target, Output& output) {
    target = std::min(target, std::numeric_limits<int64_t>::max() - 1);
    int work = kWorkPerSlice;
    fired_until_ = std::max(fired_until_, target);
    while (true) {
      if (firing_end_ == kNone) {
        if (!Expire(work)) return Progress::kSuspended;
        const int64_t end = NextEnd();
        if (end == kNone || end - 1 > target) {
          if (progress_ >= target) return Progress::kDone;
          progress_ = target;
          continue;
        }
        firing_end_ = end;
        next_key_ = 0;
        next_run_ = 0;
      }
      const TimeWindow window = windows_.WindowEndingAt(firing_end_);
      collector_.set_timestamp(window.MaxTimestamp());
      if (!(sliding_ ? CloseUnits(work) && EmitRuns(window, work, output)
                     : EmitUnit(window, work, output))) {
        return Progress::kSuspended;
      }
      progress_ = std::max(progress_, firing_end_ - 1);
      closed_until_ = std::max(closed_until_, firing_end_);
      firing_end_ = kNone;
    }
  }

  // The following return false where the slice of work ends; call again.

  // Fires a window that is one unit.
  bool EmitUnit(const TimeWindow& window, int& work, Output& output) {
    const auto unit = units_.find(firing_end_);
    if (unit == units_.end()) return true;
    KeyList& keys = unit->second;
    const bool erases = lateness_ms_ == 0;
    const bool prefetches = keys.size() > kPrefetchedSize / 8;
    while (next_key_ < keys.size()) {
      if (output.Full() || work-- <= 0) return false;
      if (prefetches) PrefetchAhead(keys, unit->first);
      const ListedKey& listed = keys[next_key_++];
      if (progress_ >= restored_until_ || ProgressOf(listed.hash) < firing_end_ - 1) {
        contents_.EmitUnit(listed.hash, listed.key, window, firing_end_, collector_);
      }
      if (erases) Forget(listed, unit->first);
    }
    if (erases) ForgetUnit(unit);
    return true;
  }
  void PrefetchAhead(KeyList& keys, int64_t unit) {
    if (next_key_ + kSlotsAhead < keys.size()) {
      contents_.Prefetch(keys[next_key_ + kSlotsAhead].hash, unit);
    }
    if (next_key_ + kEntriesAhead < keys.size()) {
      contents_.PrefetchEntry(keys[next_key_ + kEntriesAhead].hash, unit);
    }
  }
  void Forget(const ListedKey& listed, int64_t unit) {
    if (clears_ && !sliding_) {
      contents_.runner().Clear(listed.hash, listed.key, windows_.WindowEndingAt(unit));
    }
    contents_.Erase(listed.hash, listed.key, unit);
  }

  // Adds the units that end by `firing_end_` to their keys' runs.
  bool CloseUnits(int& work) {
    for (auto unit = units_.upper_bound(closed_until_);
         unit != units_.end() && unit->first <= firing_end_; ++unit) {
      KeyList& keys = unit->second;
      const bool prefetches = keys.size() > kPrefetchedSize / 8;
      while (next_key_ < keys.size()) {
        if (work-- <= 0) return false;
        if (prefetches) PrefetchAhead(keys, unit->first);
        const ListedKey& listed = keys[next_key_++];
        Run& run = FindOrAddRun(listed.hash, listed.key);
        run.units.push_back(unit->first);
        if (running_ && !run.stale) {
          contents_.AddUnit(listed.hash, listed.key, unit->first, run.running);
        }
      }
      closed_until_ = unit->first;
      next_key_ = 0;
    }
    return true;
  }

  bool EmitRuns(const TimeWindow& window, int& work, Output& output) {
    while (next_run_ < num_runs_) {
      if (output.Full() || work-- <= 0) return false;
      Run& run = runs_[next_run_];
      LeaveBehind(run, window.start.millis());
      if (run.first == run.units.size()) {
        RemoveRun(next_run_);
        continue;
      }
      ++next_run_;
      if (progress_ < restored_until_ && ProgressOf(run.hash) >= firing_end_ - 1) continue;
      if (!emitted_->empty() && emitted_->Erase(run.hash, run.key, firing_end_)) continue;
      if (!running_) {
        contents_.EmitUnits(run.hash, run.key, window, run.Units(), collector_);
      } else {
        if (std::exchange(run.stale, false)) {
          contents_.Rebuild(run.hash, run.key, run.Units(), run.running);
        }
        contents_.EmitRunning(run.hash, run.key, window, run.running, collector_);
      }
      if (clears_) contents_.runner().Clear(run.hash, run.key, window);
    }
    if (!emitted_->empty()) {
      for (size_t i = 0; i < num_runs_; ++i) {
        emitted_->Erase(runs_[i].hash, runs_[i].key, firing_end_);
      }
    }
    return true;
  }
  // Takes the units that end by `start` out of the run.
  void LeaveBehind(Run& run, int64_t start) {
    while (run.first < run.units.size() && run.units[run.first] <= start) {
      ++run.first;
      if (running_ && !run.stale) run.stale = !contents_.RemoveOldest(run.running);
    }
    if (run.first > 16 && run.first * 2 > run.units.size()) {
      run.units.erase(run.units.begin(), run.units.begin() + static_cast<ptrdiff_t>(run.first));
      run.first = 0;
    }
  }
  Run& FindOrAddRun(uint64_t hash, const K& key) {
    const size_t size = run_index_.size();
    uint64_t& index = run_index_.Mutable(hash, key);
    if (run_index_.size() == size) return runs_[index];
    index = num_runs_;
    Run& run = num_runs_ < runs_.size() ? runs_[num_runs_] : runs_.push_back({});
    ++num_runs_;
    run.hash = hash;
    run.key = key;
    run.units.clear();
    run.first = 0;
    run.stale = false;
    Contents::Reset(run.running);
    return run;
  }
  void RemoveRun(size_t index) {
    run_index_.Erase(runs_[index].hash, runs_[index].key);
    --num_runs_;
    if (index == num_runs_) return;
    std::swap(runs_[index], runs_[num_runs_]);
    run_index_.Mutable(runs_[index].hash, runs_[index].key) = index;
  }

  // Erases the units whose last window, and its allowed lateness, is over.
  bool Expire(int& work) {
    while (!units_.empty()) {
      const auto unit = units_.begin();
      const int64_t last_end = sliding_ ? windows_.LastWindowEnd(unit->first - 1) : unit->first;
      if (SaturatingAdd(last_end - 1, lateness_ms_) > progress_) return true;
      KeyList& keys = unit->second;
      while (next_expired_ < keys.size()) {
        if (work-- <= 0) return false;
        Forget(keys[next_expired_++], unit->first);
      }
      next_expired_ = 0;
      ForgetUnit(unit);
    }
    return true;
  }

  // How far windows of this key have fired: that of the subtask but shortly after a restore.
  [[nodiscard]] int64_t ProgressOf(uint64_t hash) const {
    if (progress_ >= restored_until_) return progress_;
    const KeyGroup group = KeyGroupOf(hash, place_->max_parallelism);
    return std::max(progress_, restored_progress_[group - place_->key_groups.first]);
  }

  void Restore() {
    const KeyGroupRange groups = place_->key_groups;
    restored_progress_.assign(groups.size(), kNone);
    for (const WindowProgress& old : progress_state_.Get()) {
      const KeyGroupRange both = groups.Intersect({old.first_group, old.last_group});
      for (uint32_t i = 0; i < both.size(); ++i) {
        restored_progress_[both.first + i - groups.first] = old.time_ms;
      }
    }
    if (restored_progress_.empty()) return;
    const auto [least, most] =
        std::minmax_element(restored_progress_.begin(), restored_progress_.end());
    progress_ = *least;
    fired_until_ = progress_;
    restored_until_ = *most;
    contents_.ForEachUnit(
        [this](uint64_t hash, const K& key, int64_t unit) { ListKey(unit, hash, key); });
    if (!sliding_ || progress_ == kNone) return;
    // The slices of windows that have fired are part of windows to come: make their runs.
    for (auto& [unit, keys] : units_) {
      if (unit - 1 > progress_) break;
      closed_until_ = unit;
      for (size_t i = 0; i < keys.size(); ++i) {
        Run& run = FindOrAddRun(keys[i].hash, keys[i].key);
        run.units.push_back(unit);
        run.stale = true;
      }
    }
  }

  static int64_t SaturatingAdd(int64_t time, int64_t millis) {
    return (EventTime::FromMillis(time) + millis).millis();
  }

  const AlignedWindows windows_;
  KeyFn key_of_;
  Contents contents_;
  const WindowOptions<In> options_;
  const std::shared_ptr<const SideOutputs> side_outputs_;
  const bool event_time_;
  const OperatorContext::Place* place_ = nullptr;
  bool shared_ = false;   // Each record has one unit.
  bool sliding_ = false;  // A window is several units.
  bool running_ = false;  // Runs keep an aggregate of their units.
  bool clears_ = false;   // The window function wants to know when a window is over.
  int64_t lateness_ms_ = 0;
  Collector<Out> collector_;
  SideCollectors side_collectors_;
  Counter* num_late_records_dropped_ = nullptr;

  std::vector<int64_t> units_of_rows_;
  AlignedWindows::Slice slice_;  // Of the last record that left the one before.
  int64_t slice_unit_ = kNone;
  int64_t processing_time_ = 0;  // Of the batch.

  std::map<int64_t, KeyList> units_;  // By end.
  int64_t listed_unit_ = kNone;
  KeyList* listed_keys_ = nullptr;

  ChunkedVector<Run> runs_;  // Those from num_runs_ on are spare.
  size_t num_runs_ = 0;
  ObjectTable<K, VoidNamespace, uint64_t> run_index_{/*track_changes=*/false};

  // All windows with a last instant up to here have fired; fired_until_ runs ahead of progress_
  // while windows fire. Units up to closed_until_ are in runs.
  int64_t progress_ = kNone;
  int64_t fired_until_ = kNone;
  int64_t closed_until_ = kNone;
  int64_t firing_end_ = kNone;
  size_t next_key_ = 0;
  size_t next_run_ = 0;
  size_t next_expired_ = 0;
  std::vector<int64_t> late_ends_;
  size_t next_late_ = 0;
  std::vector<int64_t> gathered_units_;

  OperatorListState<WindowProgress> progress_state_;
  std::vector<int64_t> restored_progress_;            // By key group of the range.
  int64_t restored_until_ = kNone;                    // The greatest of these.
  ObjectTable<K, int64_t, bool>* emitted_ = nullptr;  // By window end; see Snapshot.
};

}  // namespace weir::internal
