#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "operators/api/sink.h"
#include "operators/process/committing.h"
#include "runtime/base/status_macros.h"
#include "runtime/metrics/metric_group.h"
#include "runtime/record/typed_batch.h"
#include "runtime/task/operator.h"

namespace weir::internal {

/// What of a SinkWriterOperator does not depend on the type of its records, so that it is compiled
/// once and not with every sink: what the writer prepared for a checkpoint is kept in operator
/// state until that checkpoint has completed, then committed on the I/O pool.
class SinkWriterOperatorBase : public StreamOperator, public SinkContext {
 public:
  absl::Status Open(OperatorContext& context, Output& output,
                    std::vector<OperatorSubtaskState> restored) final;
  absl::StatusOr<Progress> ProcessBatch(uint32_t input, BatchCursor& cursor, Output& output) final;
  absl::StatusOr<Progress> OnWake(Output& output) final;
  absl::Status OnIdle() final;
  absl::StatusOr<Progress> EndInput(uint32_t input, Output& output) final;
  absl::StatusOr<OperatorSnapshot> Snapshot(CheckpointId checkpoint) final;
  absl::Status NotifyCheckpointComplete(CheckpointId checkpoint) final;
  [[nodiscard]] bool HasPendingCommits() const final { return committing_.in_flight(); }
  void Close() final;

  // SinkContext:
  [[nodiscard]] const OperatorContext::Place& place() const final { return context_->place(); }
  [[nodiscard]] IoPool* io_pool() const final { return context_->io_pool(); }
  [[nodiscard]] const Clock* clock() const final { return context_->clock(); }
  [[nodiscard]] const std::shared_ptr<TaskHandle>& handle() const final {
    return context_->handle();
  }
  [[nodiscard]] MetricGroup* metrics() const final { return context_->metrics(); }
  [[nodiscard]] const std::shared_ptr<StateFileStore>& state_store() const final {
    return context_->state_store();
  }

 protected:
  SinkWriterOperatorBase();
  ~SinkWriterOperatorBase() override;

  [[nodiscard]] virtual const SinkBase& sink() const = 0;
  /// Makes the writer, which the caller borrows until the operator's end.
  [[nodiscard]] virtual absl::StatusOr<SinkWriterBase*> MakeWriter() = 0;
  /// Writes the rows from the cursor on until the writer is not ready.
  [[nodiscard]] virtual absl::StatusOr<Progress> Write(BatchCursor& cursor) = 0;

 private:
  OperatorContext* context_ = nullptr;
  Committing committing_;
  SinkWriterBase* writer_ = nullptr;
  Counter* records_sent_ = nullptr;
  Counter* send_errors_ = nullptr;
  bool unflushed_ = false;
};

/// Runs a SinkWriter and, for sinks that have one, its Committer.
template <class T>
class SinkWriterOperator final : public SinkWriterOperatorBase {
 public:
  explicit SinkWriterOperator(std::shared_ptr<const Sink<T>> sink) : sink_(std::move(sink)) {}

 protected:
  [[nodiscard]] const SinkBase& sink() const override { return *sink_; }
  absl::StatusOr<SinkWriterBase*> MakeWriter() override {
    ASSIGN_OR_RETURN(writer_, sink_->CreateWriter(*this));
    return writer_.get();
  }
  absl::StatusOr<Progress> Write(BatchCursor& cursor) override {
    const auto& batch = static_cast<const TypedBatch<T>&>(*cursor.batch);
    const auto values = batch.values();
    while (cursor.row < values.size()) {
      if (!writer_->Ready()) return Progress::kBlocked;
      RETURN_IF_ERROR(writer_->Write(values[cursor.row], batch.event_time(cursor.row)));
      ++cursor.row;
    }
    return Progress::kDone;
  }

 private:
  const std::shared_ptr<const Sink<T>> sink_;
  std::unique_ptr<SinkWriter<T>> writer_;
};

}  // namespace weir::internal
