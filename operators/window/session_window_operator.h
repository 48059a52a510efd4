#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "operators/api/functions.h"
#include "operators/process/stateful_operator.h"
#include "operators/window/internal/chunked_vector.h"
#include "operators/window/time_window.h"
#include "operators/window/window_contents.h"
#include "runtime/base/status_macros.h"
#include "runtime/record/serde.h"
#include "runtime/record/typed_batch.h"

namespace weir {

namespace internal {

/// One session of a key. Plain data.
template <class Accumulator>
struct Session {
  int64_t start = 0;
  int64_t end = 0;
  /// Whether it must fire when time has passed its end.
  bool pending = false;
  Accumulator accumulator{};
};

/// The sessions of one key, no two of which touch.
template <class Accumulator>
struct KeySessions {
  std::vector<Session<Accumulator>> sessions;
  /// When the key is listed as due; kNotListed after a restore. Not in snapshots.
  int64_t listed = kNotListed;
  static constexpr int64_t kNotListed = std::numeric_limits<int64_t>::min();
};

}  // namespace internal

template <class Accumulator>
struct Serde<internal::KeySessions<Accumulator>> {
  using Sessions = std::vector<internal::Session<Accumulator>>;
  static void Write(ByteWriter& writer, const internal::KeySessions<Accumulator>& value) {
    Serde<Sessions>::Write(writer, value.sessions);
  }
  static bool Read(ByteReader& reader, internal::KeySessions<Accumulator>& value) {
    return Serde<Sessions>::Read(reader, value.sessions);
  }
  static Schema GetSchema() { return Serde<Sessions>::GetSchema(); }
};

namespace internal {

/// Sessions that are aggregated and fire at their end: the default trigger, no evictor.
///
/// State: all sessions of a key, with their accumulators, are one entry; a record costs one
/// look-up. There are no timers. In memory, `due_` lists by time the keys to look at then; a
/// session that grew meanwhile is listed anew, so a record that extends one touches no list.
/// Rebuilt from the state at restore.
template <class K, class In, class Out, class KeyFn, class Assigner, class Aggregate, class Fn>
class SessionWindowOperator final : public KeyedOperator<K, VoidNamespace> {
  using Base = KeyedOperator<K, VoidNamespace>;
  using Accumulator = typename Aggregate::Accumulator;
  using Sessions = KeySessions<Accumulator>;

 public:
  SessionWindowOperator(Assigner assigner, KeyFn key_of, Aggregate aggregate, Fn function,
                        WindowOptions<In> options, std::shared_ptr<const SideOutputs> side_outputs)
      : assigner_(std::move(assigner)),
        key_of_(std::move(key_of)),
        aggregate_(std::move(aggregate)),
        runner_(std::move(function)),
        options_(std::move(options)),
        side_outputs_(std::move(side_outputs)),
        event_time_(assigner_.domain() == TimeDomain::kEventTime) {}

  absl::StatusOr<Progress> ProcessBatch(uint32_t, BatchCursor& cursor, Output& output) override {
    const auto& batch = static_cast<const TypedBatch<In>&>(*cursor.batch);
    const auto values = batch.values();
    const auto hashes = batch.key_hashes();
    const int64_t now = event_time_ ? 0 : std::max(NowMillis(), progress_ + 1);
    const bool prefetches = table_->size() > kPrefetchedSize;
    while (cursor.row < values.size()) {
      const size_t row = cursor.row;
      if (prefetches) {
        if (row + kSlotsAhead < values.size()) table_->Prefetch(hashes[row + kSlotsAhead]);
        if (row + kEntriesAhead < values.size()) {
          table_->PrefetchEntry(hashes[row + kEntriesAhead]);
        }
      }
      const EventTime time = batch.event_time(row);
      if (event_time_ && time == EventTime::Min()) return NoEventTime();
      decltype(auto) key = key_of_(values[row]);
      const bool emitted =
          Add(hashes[row], key, values[row], time, event_time_ ? time.millis() : now);
      ++cursor.row;
      if (emitted && output.Full()) {
        return cursor.AtEnd() ? Progress::kDone : Progress::kSuspended;
      }
    }
    return Progress::kDone;
  }

  absl::StatusOr<Progress> OnWake(Output& output) override {
    if (event_time_) return Base::OnWake(output);
    progress_ = std::max(progress_, NowMillis() - 1);
    const Progress progress = Advance(progress_, output);
    if (progress == Progress::kDone) ScheduleNext();
    return progress;
  }

  void Close() override { runner_.Close(); }

 protected:
  absl::Status OpenFunction(OperatorContext& context, Output& output) override {
    RETURN_IF_ERROR(assigner_.Validate());
    if (options_.allowed_lateness < absl::ZeroDuration()) {
      return absl::InvalidArgumentError("the allowed lateness must not be negative");
    }
    lateness_ms_ = event_time_ ? absl::ToInt64Milliseconds(options_.allowed_lateness) : 0;
    collector_.Bind(&output.port(0));
    side_collectors_.Open(*side_outputs_, output);
    num_late_records_dropped_ = context.metrics()->AddCounter("numLateRecordsDropped");
    RETURN_IF_ERROR(
        runner_.Open(context, this->backend(), this->operator_state(), side_collectors_));
    if (runner_.has_window_state()) {
      return absl::InvalidArgumentError(
          "windows that merge, as sessions do, cannot have per-window state; use GetState");
    }
    clears_ = runner_.needs_clear();
    ASSIGN_OR_RETURN(table_,
                     (this->backend().template Table<VoidNamespace, Sessions>({"sessions"})));
    table_->ForEach([this](uint64_t hash, const K& key, VoidNamespace, const Sessions& sessions) {
      const int64_t due = FirstDue(sessions);
      if (due != kNever) due_[due].push_back({hash, key});
    });
    if (!event_time_) ScheduleNext();
    return absl::OkStatus();
  }

  void OnTimer(TimerKind, const Timer<K, VoidNamespace>&) override {}
  void OnWatermarkAdvanced(EventTime watermark) override {
    runner_.set_watermark(watermark);
    if (event_time_) progress_ = watermark.millis();
  }
  absl::StatusOr<Progress> FireWindows(EventTime, Output& output) override {
    return event_time_ ? Advance(progress_, output) : Progress::kDone;
  }

 private:
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
  static constexpr size_t kPrefetchedSize = 4096;  // Smaller tables stay in the cache.
  static constexpr size_t kSlotsAhead = 24;
  static constexpr size_t kEntriesAhead = 12;
  static constexpr int kWorkPerSlice = 4096;  // Keys visited before mail is read.

  struct ListedKey {
    uint64_t hash = 0;
    K key{};
  };

  static absl::Status NoEventTime() {
    return absl::FailedPreconditionError(
        "a record of an event-time window has no event time; give the stream timestamps by "
        "AssignTimestampsAndWatermarks or its source's watermark strategy, or use windows of "
        "processing time");
  }
  static int64_t SaturatingAdd(int64_t time, int64_t millis) {
    return (EventTime::FromMillis(time) + millis).millis();
  }
  [[nodiscard]] int64_t NowMillis() { return absl::ToUnixMillis(this->context().clock()->Now()); }
  [[nodiscard]] bool HasExpired(int64_t end, int64_t progress) const {
    return SaturatingAdd(end - 1, lateness_ms_) <= progress;
  }

  // Returns whether something was emitted.
  bool Add(uint64_t hash, const K& key, const In& value, EventTime record_time, int64_t time) {
    const int64_t end = SaturatingAdd(time, assigner_.GapMillis(value));
    Sessions& of_key = table_->Mutable(hash, key);
    auto& sessions = of_key.sessions;
    size_t index = 0;
    while (index < sessions.size() && !Touches(sessions[index], time, end)) ++index;
    if (index == sessions.size()) {
      if (HasExpired(end, progress_)) {
        if (sessions.empty()) table_->Erase(hash, key);
        return DropIfLate(value, record_time);
      }
      sessions.push_back({time, end, false, {}});
    } else if (end > sessions[index].end || time < sessions[index].start) {
      for (size_t other = sessions.size() - 1; other > index; --other) {
        if (Touches(sessions[other], time, end)) Absorb(sessions, index, other);
      }
      sessions[index].start = std::min(sessions[index].start, time);
      sessions[index].end = std::max(sessions[index].end, end);
    }
    Session<Accumulator>& session = sessions[index];
    aggregate_.Add(value, session.accumulator);
    if (session.end - 1 <= progress_) {
      Emit(hash, key, session);
      List(hash, key, of_key);
      return true;
    }
    session.pending = true;
    if (of_key.listed == Sessions::kNotListed || session.end < of_key.listed) {
      List(hash, key, of_key);
    }
    return false;
  }
  static bool Touches(const Session<Accumulator>& session, int64_t start, int64_t end) {
    return session.start <= end && session.end >= start;
  }
  void Absorb(std::vector<Session<Accumulator>>& sessions, size_t into, size_t from) {
    Session<Accumulator>& kept = sessions[into];
    const Session<Accumulator>& gone = sessions[from];
    kept.start = std::min(kept.start, gone.start);
    kept.end = std::max(kept.end, gone.end);
    aggregate_.Merge(gone.accumulator, kept.accumulator);
    sessions.erase(sessions.begin() + static_cast<ptrdiff_t>(from));
  }
  bool DropIfLate(const In& value, EventTime time) {
    if (options_.late_data_tag.has_value()) {
      side_collectors_.Collect(*options_.late_data_tag, value, time);
      return true;
    }
    num_late_records_dropped_->Add();
    return false;
  }

  template <class AnySession>
  void Emit(uint64_t hash, const K& key, const AnySession& session) {
    const TimeWindow window{EventTime::FromMillis(session.start),
                            EventTime::FromMillis(session.end)};
    collector_.set_timestamp(window.MaxTimestamp());
    runner_.OnResult(hash, key, window, aggregate_.GetResult(std::as_const(session.accumulator)),
                     collector_);
  }

  // When the first of the key's sessions fires or is forgotten: an instant after it, as ends are.
  [[nodiscard]] int64_t FirstDue(const Sessions& of_key) const {
    int64_t due = kNever;
    for (const auto& session : of_key.sessions) {
      due = std::min(due, session.pending ? session.end : SaturatingAdd(session.end, lateness_ms_));
    }
    return due;
  }
  void List(uint64_t hash, const K& key, Sessions& of_key) {
    const int64_t due = FirstDue(of_key);
    if (due == kNever || (of_key.listed != Sessions::kNotListed && due >= of_key.listed)) return;
    of_key.listed = due;
    const bool is_first = due_.empty() || due < due_.begin()->first;
    due_[due].push_back({hash, key});
    if (is_first && !event_time_) ScheduleNext();
  }
  void ScheduleNext() {
    if (!due_.empty()) {
      this->context().handle()->WakeAt(absl::FromUnixMillis(due_.begin()->first));
    }
  }

  // Looks at the keys that are due at `target`.
  Progress Advance(int64_t target, Output& output) {
    int work = kWorkPerSlice;
    while (!due_.empty() && due_.begin()->first - 1 <= target) {
      const auto due = due_.begin();
      ChunkedVector<ListedKey>& keys = due->second;
      while (next_key_ < keys.size()) {
        if (output.Full() || work-- <= 0) return Progress::kSuspended;
        if (next_key_ + kEntriesAhead < keys.size()) {
          table_->PrefetchEntry(keys[next_key_ + kEntriesAhead].hash);
        }
        if (Visit(keys[next_key_], due->first, target)) ++next_key_;
      }
      next_key_ = 0;
      due_.erase(due);
    }
    return Progress::kDone;
  }
  // Fires at most one session of a key; returns whether the key is done with.
  bool Visit(const ListedKey& listed, int64_t due, int64_t target) {
    Sessions* of_key = table_->FindMutable(listed.hash, listed.key);
    if (of_key == nullptr) return true;
    if (of_key->listed != Sessions::kNotListed && of_key->listed != due) return true;
    for (auto& session : of_key->sessions) {
      if (!session.pending || session.end - 1 > target) continue;
      session.pending = false;
      Emit(listed.hash, listed.key, session);
      return false;
    }
    std::erase_if(of_key->sessions, [&](const auto& session) {
      if (!HasExpired(session.end, target)) return false;
      if (clears_) {
        runner_.Clear(
            listed.hash, listed.key,
            TimeWindow{EventTime::FromMillis(session.start), EventTime::FromMillis(session.end)});
      }
      return true;
    });
    if (of_key->sessions.empty()) {
      table_->Erase(listed.hash, listed.key);
      return true;
    }
    of_key->listed = Sessions::kNotListed;
    List(listed.hash, listed.key, *of_key);
    return true;
  }

  Assigner assigner_;
  KeyFn key_of_;
  Aggregate aggregate_;
  WindowFunctionRunner<K, TimeWindow, Fn> runner_;
  const WindowOptions<In> options_;
  const std::shared_ptr<const SideOutputs> side_outputs_;
  const bool event_time_;
  bool clears_ = false;
  int64_t lateness_ms_ = 0;
  Collector<Out> collector_;
  SideCollectors side_collectors_;
  Counter* num_late_records_dropped_ = nullptr;
  ObjectTable<K, VoidNamespace, Sessions>* table_ = nullptr;
  std::map<int64_t, ChunkedVector<ListedKey>> due_;  // By the instant after the key is due.
  size_t next_key_ = 0;                              // Within the first of due_.
  int64_t progress_ = std::numeric_limits<int64_t>::min();
};

}  // namespace internal

}  // namespace weir
