#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "operators/testing/manual_clock.h"
#include "runtime/base/io_pool.h"
#include "runtime/base/memory_budget.h"
#include "runtime/base/strings.h"
#include "runtime/metrics/metric_group.h"
#include "runtime/record/typed_batch.h"
#include "runtime/task/operator.h"
#include "runtime/task/output.h"

namespace weir {

/// The surroundings of one operator instance without a task: time stands still until the test moves
/// it, and what the operator asks for is kept for looking at. Threads: the test's own.
class FakeOperatorContext final : public OperatorContext {
 public:
  explicit FakeOperatorContext(ManualClock* clock, OperatorId id = OperatorId(1, 1))
      : clock_(clock) {
    place_.operator_id = id;
    place_.checkpointing = false;
  }

  [[nodiscard]] const Place& place() const override { return place_; }
  [[nodiscard]] MemoryBudget* memory_budget() const override { return &budget_; }
  [[nodiscard]] IoPool* io_pool() const override { return nullptr; }
  [[nodiscard]] const Clock* clock() const override { return clock_; }
  [[nodiscard]] MetricGroup* metrics() const override { return &metrics_; }
  [[nodiscard]] const std::shared_ptr<TaskHandle>& handle() const override { return handle_; }
  [[nodiscard]] const std::shared_ptr<StateFileStore>& state_store() const override {
    return state_store_;
  }
  void SendToCoordinator(std::string event) override { events.push_back(std::move(event)); }
  void ReportSplitWatermarks(std::vector<SplitWatermark> splits) override {
    reported = std::move(splits);
  }
  /// The next time the operator asked to be woken at, after now; InfiniteFuture if it did not.
  [[nodiscard]] absl::Time NextWake() const {
    absl::Time next = absl::InfiniteFuture();
    for (const absl::Time time : fake_handle_->wakes) {
      if (time > clock_->Now()) next = std::min(next, time);
    }
    return next;
  }

  std::vector<std::string> events;
  std::vector<SplitWatermark> reported;

 private:
  class Handle final : public TaskHandle {
   public:
    void Post(absl::AnyInvocable<absl::Status()>) override {}
    void Wake() override {}
    void WakeAt(absl::Time time) override { wakes.push_back(time); }
    void Fail(absl::Status) override {}
    std::vector<absl::Time> wakes;
  };

  ManualClock* const clock_;
  Place place_;
  mutable MemoryBudget budget_{int64_t{1} << 30};
  mutable MetricGroup metrics_;
  std::shared_ptr<Handle> fake_handle_ = std::make_shared<Handle>();
  std::shared_ptr<TaskHandle> handle_ = fake_handle_;
  std::shared_ptr<StateFileStore> state_store_;
};

/// Takes what an operator emits and keeps it as text: "7" for a record of 7, "w9" for a watermark,
/// "w max", "idle", "active", "end" and so on. Records are int64_t.
class TextTarget final : public OutputTarget {
 public:
  void Accept(StreamElement element) override {
    if (const auto* batch = std::get_if<BatchPtr>(&element)) {
      for (const int64_t value : BatchValues<int64_t>(**batch)) texts.push_back(StrCat(value));
    } else if (const auto* watermark = std::get_if<Watermark>(&element)) {
      texts.push_back(watermark->time == EventTime::Max() ? "w max"
                                                          : StrCat("w", watermark->time.millis()));
    } else if (const auto* status = std::get_if<WatermarkStatus>(&element)) {
      texts.emplace_back(status->idle ? "idle" : "active");
    } else if (std::holds_alternative<CaughtUp>(element)) {
      texts.emplace_back("caught up");
    } else if (std::holds_alternative<LatencyMarker>(element)) {
      texts.emplace_back("marker");
    }
  }
  [[nodiscard]] bool Full() const override { return full; }
  /// Returns what came since the last call.
  std::vector<std::string> Take() { return std::exchange(texts, {}); }

  std::vector<std::string> texts;
  bool full = false;
};

}  // namespace weir
