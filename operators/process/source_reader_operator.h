#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "operators/api/source.h"
#include "operators/api/watermark_strategy.h"
#include "operators/process/combined_watermark.h"
#include "operators/process/source_events.h"
#include "operators/process/stateful_operator.h"
#include "runtime/task/collector.h"
#include "runtime/task/operator.h"

namespace weir::internal {

/// What of a SourceReaderOperator does not depend on the type of its records, so that it is
/// compiled once and not with every source: follows the watermark of each split (the lowest of the
/// active ones counts), pauses splits that are ahead of their alignment group, and speaks with the
/// enumerator.
class SourceReaderOperatorBase : public SourceOperator, public SourceReaderContext {
 public:
  absl::Status Open(OperatorContext& context, Output& output,
                    std::vector<OperatorSubtaskState> restored) final;
  absl::StatusOr<PollResult> Poll(Output& output) final;
  absl::Status HandleCoordinatorEvent(std::string_view bytes) final;
  absl::StatusOr<OperatorSnapshot> Snapshot(CheckpointId checkpoint) final;
  absl::Status NotifyCheckpointComplete(CheckpointId checkpoint) final;
  void Close() final;

  // SourceReaderContext:
  [[nodiscard]] const OperatorContext::Place& place() const final { return context_->place(); }
  [[nodiscard]] IoPool* io_pool() const final { return context_->io_pool(); }
  [[nodiscard]] const Clock* clock() const final { return context_->clock(); }
  [[nodiscard]] const std::shared_ptr<TaskHandle>& handle() const final {
    return context_->handle();
  }
  [[nodiscard]] MetricGroup* metrics() const final { return context_->metrics(); }
  void RequestSplit() final;
  void SendToEnumerator(std::string event) final;

 protected:
  /// What the operator asks of its WatermarkStrategy.
  struct Settings {
    bool has_watermarks = false;
    bool has_generator = false;
    absl::Duration idle_timeout;
    WatermarkAlignmentSettings alignment;
  };
  struct SplitProgress {
    std::unique_ptr<WatermarkTrackerBase> tracker;
    CombinedWatermark::Split* split;
  };

  SourceReaderOperatorBase(Settings settings, std::shared_ptr<const SideOutputs> side_outputs);
  ~SourceReaderOperatorBase() override;

  /// Makes the reader, which the caller borrows until Close.
  [[nodiscard]] virtual SourceReaderBase* MakeReader() = 0;
  virtual void BindCollector(OutputPort* port) = 0;
  [[nodiscard]] virtual absl::StatusOr<ReadStatus> PollReader() = 0;
  [[nodiscard]] virtual std::unique_ptr<WatermarkTrackerBase> NewTracker() const = 0;

  [[nodiscard]] bool has_watermarks() const { return settings_.has_watermarks; }
  /// The stream is active before the record that makes it so.
  void BeforeRecord() {
    if (combined_->idle()) [[unlikely]]
      Activate();
  }
  SplitProgress& ProgressOf(std::string_view split_id) {
    if (last_progress_ == nullptr || last_split_id_ != split_id) [[unlikely]]
      FindProgress(split_id);
    return *last_progress_;
  }
  void PutDeadLetter(DeadLetter letter);
  void EndSplit(std::string_view split_id);

 private:
  void Activate();
  void FindProgress(std::string_view split_id);
  void FollowSplits(const std::vector<SourceSplit>& splits);
  SplitProgress& Follow(std::string_view id);
  [[nodiscard]] bool aligned() const { return !settings_.alignment.group.empty(); }
  absl::Status AdvanceWatermark(ReadStatus read);
  // Pauses what is too far ahead, and lets go on what no longer is.
  absl::Status Align();
  void ReportAlignment(absl::Time now, ReadStatus read);
  // What is due without records must happen although nothing else wakes the task.
  void ScheduleWake(absl::Time now);

  const Settings settings_;
  const std::shared_ptr<const SideOutputs> side_outputs_;
  SideCollectors side_collectors_;
  OperatorContext* context_ = nullptr;
  Output* output_ = nullptr;
  OperatorStateHolder state_;
  SourceReaderBase* reader_ = nullptr;
  std::optional<CombinedWatermark> combined_;
  std::map<std::string, SplitProgress, std::less<>> progress_;
  SplitProgress* last_progress_ = nullptr;
  std::string_view last_split_id_;
  bool told_idle_ = false;  // Of a stream without watermarks.
  bool was_blocked_ = false;
  bool initial_splits_assigned_ = false;
  bool caught_up_ = false;
  absl::Time next_wake_ = absl::InfinitePast();
  absl::Time next_report_ = absl::InfinitePast();
  // Alignment.
  EventTime max_watermark_ = EventTime::Min();  // How far splits may come.
  std::optional<EventTime> reported_;
  absl::Time next_alignment_ = absl::InfinitePast();
  bool reader_paused_ = false;  // As a whole, because it cannot pause splits.
};

/// Runs a SourceReader as the head of a chain: gives records their event times.
template <class T>
class SourceReaderOperator final : public SourceReaderOperatorBase, public SourceOutput<T> {
 public:
  SourceReaderOperator(std::shared_ptr<const Source<T>> source, WatermarkStrategy<T> strategy,
                       std::shared_ptr<const SideOutputs> side_outputs)
      : SourceReaderOperatorBase({strategy.has_watermarks(), strategy.has_generator(),
                                  strategy.idle_timeout(), strategy.alignment()},
                                 std::move(side_outputs)),
        source_(std::move(source)),
        strategy_(std::move(strategy)) {}

  // SourceOutput:
  void Collect(T record, EventTime source_time, std::string_view split_id) override {
    const EventTime time = strategy_.TimestampOf(record, source_time);
    if (has_watermarks()) {
      BeforeRecord();
      SplitProgress& progress = ProgressOf(split_id);
      static_cast<WatermarkTracker<T>&>(*progress.tracker).OnRecord(record, time);
      progress.split->got_record = true;
    }
    collector_.Collect(std::move(record), time);
  }
  void CollectAt(T record, EventTime source_time, std::string_view split_id, uint64_t) override {
    Collect(std::move(record), source_time, split_id);  // Not virtual here: one call a record.
  }
  void CollectDeadLetter(DeadLetter letter) override { PutDeadLetter(std::move(letter)); }
  void SplitFinished(std::string_view split_id) override { EndSplit(split_id); }
  [[nodiscard]] bool Full() const override { return collector_.Full(); }

 protected:
  SourceReaderBase* MakeReader() override {
    reader_ = source_->CreateReader();
    return reader_.get();
  }
  void BindCollector(OutputPort* port) override { collector_.Bind(port); }
  absl::StatusOr<ReadStatus> PollReader() override { return reader_->Poll(*this); }
  std::unique_ptr<WatermarkTrackerBase> NewTracker() const override {
    return std::make_unique<WatermarkTracker<T>>(strategy_);
  }

 private:
  const std::shared_ptr<const Source<T>> source_;
  const WatermarkStrategy<T> strategy_;
  std::unique_ptr<SourceReader<T>> reader_;
  Collector<T> collector_;
};

}  // namespace weir::internal
