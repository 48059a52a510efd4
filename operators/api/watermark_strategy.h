#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "runtime/record/event_time.h"

namespace weir {

/// Where a WatermarkGenerator says how far event time has come. Valid for the call it is passed to.
class WatermarkOutput {
 public:
  virtual ~WatermarkOutput() = default;
  /// No record at or before `watermark` follows. One that does not lie above the last is ignored.
  /// Takes back MarkIdle.
  virtual void EmitWatermark(EventTime watermark) = 0;
  /// The split or stream no longer holds event time back, until a watermark or MarkActive.
  virtual void MarkIdle() = 0;
  virtual void MarkActive() = 0;
};

/// Makes watermarks from the records of one split, or, behind the source, of one subtask.
///
/// Derive from it for what BoundedOutOfOrderness does not say: a watermark for a marker in the data
/// (punctuated, in OnEvent), or from what was seen (periodic, in OnPeriodicEmit). Lifecycle: one
/// per split; made anew, without state, after a restart. Threads: one call at a time, within the
/// task's steps, so none may block. What it throws fails the task.
template <class T>
class WatermarkGenerator {
 public:
  virtual ~WatermarkGenerator() = default;
  /// A record has come, with the event time it has by the strategy. A watermark emitted here goes
  /// out behind the batch that the record is in.
  virtual void OnEvent(const T& record, EventTime timestamp, WatermarkOutput& output) = 0;
  /// Called behind each batch of records, and each `pipeline.auto-watermark-interval` while none
  /// come.
  virtual void OnPeriodicEmit(WatermarkOutput& output) = 0;
};

/// How far splits may come ahead of others; see WatermarkStrategy::WithWatermarkAlignment.
struct WatermarkAlignmentSettings {
  std::string group;  ///< Empty = none.
  absl::Duration max_drift;
  absl::Duration update_interval;
};

/// How a stream's records get event times, and how far event time has come. A value; copied into
/// every subtask.
///
/// Example: WatermarkStrategy<Flow>::BoundedOutOfOrderness(absl::Seconds(5))
///              .WithTimestamps([](const Flow& flow) { return flow.start; })
///              .WithIdleness(absl::Seconds(30))
template <class T>
class WatermarkStrategy {
 public:
  using TimestampAssigner = std::function<EventTime(const T&)>;
  using GeneratorFactory = std::function<std::unique_ptr<WatermarkGenerator<T>>()>;

  /// Records come in order of time.
  static WatermarkStrategy Monotonous() { return BoundedOutOfOrderness(absl::ZeroDuration()); }
  /// No record comes more than `bound` behind the latest one.
  static WatermarkStrategy BoundedOutOfOrderness(absl::Duration bound) {
    WatermarkStrategy strategy;
    strategy.has_watermarks_ = true;
    strategy.bound_ms_ = absl::ToInt64Milliseconds(bound);
    return strategy;
  }
  /// Watermarks by a generator of the user's own; `make` is called for each split, on any thread.
  static WatermarkStrategy ForGenerator(GeneratorFactory make) {
    WatermarkStrategy strategy;
    strategy.has_watermarks_ = true;
    strategy.generator_factory_ = std::move(make);
    return strategy;
  }
  /// Watermarks are in the data: `watermark_of` answers the one that a record carries, if it does.
  static WatermarkStrategy Punctuated(
      std::function<std::optional<EventTime>(const T&, EventTime)> watermark_of) {
    return ForGenerator([watermark_of = std::move(watermark_of)] {
      return std::make_unique<PunctuatedGenerator>(watermark_of);
    });
  }
  /// The stream takes no part in event time: it counts as idle, so it never holds time back where
  /// it joins others.
  static WatermarkStrategy NoWatermarks() { return {}; }

  /// Takes each record's event time from the record. Without it, the time that the source gave is
  /// kept.
  [[nodiscard]] WatermarkStrategy WithTimestamps(TimestampAssigner assigner) const {
    WatermarkStrategy strategy = *this;
    strategy.assigner_ = std::move(assigner);
    return strategy;
  }
  /// A split or subtask without records for `timeout` no longer holds event time back. Time in
  /// which it could not have given any (its output was full, or alignment paused it) does not
  /// count.
  [[nodiscard]] WatermarkStrategy WithIdleness(absl::Duration timeout) const {
    WatermarkStrategy strategy = *this;
    strategy.idle_timeout_ = timeout;
    return strategy;
  }
  /// Of a source: splits whose watermark is more than `max_drift` ahead of the slowest split of
  /// `group` are not read until that has followed. The group spans all subtasks, and all sources of
  /// the job that name it. Watermarks are compared each `update_interval`.
  [[nodiscard]] WatermarkStrategy WithWatermarkAlignment(
      std::string group, absl::Duration max_drift,
      absl::Duration update_interval = absl::Seconds(1)) const {
    WatermarkStrategy strategy = *this;
    strategy.alignment_ = {std::move(group), max_drift, update_interval};
    return strategy;
  }

  // For operators.
  [[nodiscard]] bool has_watermarks() const { return has_watermarks_; }
  [[nodiscard]] bool has_assigner() const { return static_cast<bool>(assigner_); }
  [[nodiscard]] bool has_generator() const { return static_cast<bool>(generator_factory_); }
  [[nodiscard]] EventTime TimestampOf(const T& record, EventTime source_time) const {
    return assigner_ ? assigner_(record) : source_time;
  }
  [[nodiscard]] int64_t bound_ms() const { return bound_ms_; }
  /// Null for the strategies that need none.
  [[nodiscard]] std::unique_ptr<WatermarkGenerator<T>> NewGenerator() const {
    return generator_factory_ ? generator_factory_() : nullptr;
  }
  /// Infinite if the stream never counts as idle.
  [[nodiscard]] absl::Duration idle_timeout() const { return idle_timeout_; }
  [[nodiscard]] const WatermarkAlignmentSettings& alignment() const { return alignment_; }

 private:
  class PunctuatedGenerator final : public WatermarkGenerator<T> {
   public:
    explicit PunctuatedGenerator(
        std::function<std::optional<EventTime>(const T&, EventTime)> watermark_of)
        : watermark_of_(std::move(watermark_of)) {}
    void OnEvent(const T& record, EventTime timestamp, WatermarkOutput& output) override {
      if (const auto watermark = watermark_of_(record, timestamp)) output.EmitWatermark(*watermark);
    }
    void OnPeriodicEmit(WatermarkOutput&) override {}

   private:
    std::function<std::optional<EventTime>(const T&, EventTime)> watermark_of_;
  };

  bool has_watermarks_ = false;
  int64_t bound_ms_ = 0;
  absl::Duration idle_timeout_ = absl::InfiniteDuration();
  TimestampAssigner assigner_;
  GeneratorFactory generator_factory_;
  WatermarkAlignmentSettings alignment_;
};

namespace internal {

/// What of a WatermarkTracker does not depend on the records' type.
class WatermarkTrackerBase : protected WatermarkOutput {
 public:
  virtual void OnPeriodicEmit() = 0;
  /// The watermark after what was seen. For bounded out-of-orderness: the latest time, less the
  /// bound and one millisecond, because another record may have that very time. Min while there is
  /// none.
  [[nodiscard]] EventTime Current() const {
    if (has_generator_) return emitted_;
    return latest_ == EventTime::Min() ? latest_ : latest_ - bound_ms_ - 1;
  }
  /// Whether the generator has marked it so.
  [[nodiscard]] bool marked_idle() const { return marked_idle_; }

 protected:
  WatermarkTrackerBase(int64_t bound_ms, bool has_generator)
      : bound_ms_(bound_ms), has_generator_(has_generator) {}
  [[nodiscard]] bool has_generator() const { return has_generator_; }
  void OnTime(EventTime time) { latest_ = std::max(latest_, time); }

 private:
  void EmitWatermark(EventTime watermark) final {
    emitted_ = std::max(emitted_, watermark);
    marked_idle_ = false;
  }
  void MarkIdle() final { marked_idle_ = true; }
  void MarkActive() final { marked_idle_ = false; }

  int64_t bound_ms_;
  bool has_generator_;
  bool marked_idle_ = false;
  EventTime latest_ = EventTime::Min();
  EventTime emitted_ = EventTime::Min();
};

/// Follows the event time of one split, or of one stream, by its strategy. Threads: one at a time.
template <class T>
class WatermarkTracker final : public WatermarkTrackerBase {
 public:
  explicit WatermarkTracker(const WatermarkStrategy<T>& strategy)
      : WatermarkTrackerBase(strategy.bound_ms(), strategy.has_generator()),
        generator_(strategy.NewGenerator()) {}

  void OnRecord(const T& record, EventTime time) {
    if (!this->has_generator()) [[likely]] {
      this->OnTime(time);
    } else {
      generator_->OnEvent(record, time, *this);
    }
  }
  void OnPeriodicEmit() override {
    if (generator_ != nullptr) generator_->OnPeriodicEmit(*this);
  }

 private:
  std::unique_ptr<WatermarkGenerator<T>> generator_;
};

}  // namespace internal
}  // namespace weir
