#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "runtime/record/event_time.h"
#include "runtime/task/operator.h"

namespace weir::internal {

/// How far event time has come in a subtask that reads several splits: as far as the slowest of
/// those that are not idle.
///
/// When all are idle it has come as far as the furthest, so that it ends up the same whatever the
/// order in which they fell silent. It never goes back: a split that speaks again after that holds
/// it where it is. A subtask without splits is idle once it knows that none will come at first, or
/// has waited for the idle timeout. Threads: one at a time.
class CombinedWatermark {
 public:
  /// One split. The owner writes `watermark`, `got_record`, `marked_idle` and `paused` between
  /// updates.
  struct Split {
    EventTime watermark = EventTime::Min();
    bool got_record = false;   ///< Since the last update.
    bool marked_idle = false;  ///< By its generator.
    bool paused = false;       ///< Must not be read: its silence is no idleness.
    bool idle = false;

    EventTime shown_watermark = EventTime::Min();
    absl::Time since;             // When shown_watermark last moved.
    absl::Duration silent_since;  // On the clock of time that counts.
  };

  CombinedWatermark(absl::Duration idle_timeout, absl::Time now)
      : idle_timeout_(idle_timeout), last_update_(now) {}

  /// The result stays where it is until Remove.
  Split& Add(std::string_view id, absl::Time now);
  [[nodiscard]] Split* Find(std::string_view id);
  /// The split has come to its end and no longer holds time back. `split` is gone.
  void Remove(std::string_view id);
  /// The splits that were there at the start are assigned: a subtask that has none is idle.
  void ExpectNoSplits() { expects_no_splits_ = true; }

  /// What to emit, in this order.
  struct Outcome {
    bool became_active = false;
    std::optional<EventTime> watermark;
    bool became_idle = false;
  };
  /// Takes the splits' changes in. `was_blocked` says that no split could give records between the
  /// last update and `now`, so that the time does not count as silence.
  [[nodiscard]] Outcome Update(absl::Time now, bool was_blocked);
  /// For a record that comes before the next update: returns whether the status was idle, and makes
  /// it active.
  [[nodiscard]] bool Activate();

  [[nodiscard]] bool idle() const { return idle_; }
  [[nodiscard]] EventTime watermark() const { return emitted_; }
  /// The slowest split's watermark for comparing with other subtasks; Max if none holds time back,
  /// Min if nothing is known yet.
  [[nodiscard]] EventTime AlignmentWatermark() const;
  /// When the next split falls silent for too long if nothing comes; InfiniteFuture if none can.
  [[nodiscard]] absl::Time NextIdleTime() const;
  [[nodiscard]] std::map<std::string, Split, std::less<>>& splits() { return splits_; }
  /// Returns at most `limit` splits, those that hold time back first.
  [[nodiscard]] std::vector<SplitWatermark> Describe(size_t limit) const;
  /// Whether anything that Describe shows has changed since the last ClearChanged.
  [[nodiscard]] bool changed() const { return changed_; }
  void ClearChanged() { changed_ = false; }

 private:
  const absl::Duration idle_timeout_;
  std::map<std::string, Split, std::less<>> splits_;
  absl::Time last_update_;
  absl::Duration counted_;  // The time in which splits could have given records.
  absl::Duration empty_since_;
  EventTime finished_ = EventTime::Min();  // The furthest watermark of splits that ended.
  EventTime emitted_ = EventTime::Min();
  bool expects_no_splits_ = false;
  bool idle_ = false;
  bool changed_ = false;
};

}  // namespace weir::internal
