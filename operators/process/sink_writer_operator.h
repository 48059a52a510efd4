#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "operators/api/sink.h"
#include "operators/process/committing.h"
#include "operators/process/stateful_operator.h"
#include "runtime/base/status_macros.h"
#include "runtime/record/typed_batch.h"
#include "runtime/task/operator.h"

namespace weir::internal {

/// Runs a SinkWriter and, for sinks that have one, its Committer: what the writer prepared for a
/// checkpoint is kept in operator state until that checkpoint has completed, then committed on the
/// I/O pool.
template <class T>
class SinkWriterOperator final : public StreamOperator, public SinkContext {
 public:
  explicit SinkWriterOperator(std::shared_ptr<const Sink<T>> sink) : sink_(std::move(sink)) {}

  absl::Status Open(OperatorContext& context, Output&,
                    std::vector<OperatorSubtaskState> restored) override {
    context_ = &context;
    records_sent_ = context.metrics()->AddCounter("numRecordsSend");
    send_errors_ = context.metrics()->AddCounter("numRecordsSendErrors");
    RETURN_IF_ERROR(committing_.Open(context, sink_->CreateCommitter(*this), std::move(restored)));
    ASSIGN_OR_RETURN(writer_, sink_->CreateWriter(*this));
    return absl::OkStatus();
  }

  absl::StatusOr<Progress> ProcessBatch(uint32_t, BatchCursor& cursor, Output&) override {
    const auto& batch = static_cast<const TypedBatch<T>&>(*cursor.batch);
    const auto values = batch.values();
    const size_t begin = cursor.row;
    const absl::StatusOr<Progress> progress = Write(batch, values, cursor);
    if (cursor.row > begin) {
      unflushed_ = true;
      records_sent_->Add(cursor.row - begin);
    }
    if (!progress.ok()) send_errors_->Add();
    return progress;
  }

  absl::StatusOr<Progress> OnWake(Output&) override {
    committing_.OnWake();
    return Progress::kDone;
  }

  absl::Status OnIdle() override {
    if (!std::exchange(unflushed_, false)) return absl::OkStatus();
    return writer_->Flush();
  }

  absl::StatusOr<Progress> EndInput(uint32_t, Output&) override {
    RETURN_IF_ERROR(writer_->EndInput());
    return Progress::kDone;
  }

  absl::StatusOr<OperatorSnapshot> Snapshot(CheckpointId checkpoint) override {
    unflushed_ = false;
    ASSIGN_OR_RETURN(PrepareCommit prepare, writer_->BeginCommit(checkpoint));
    return committing_.Snapshot(checkpoint, std::move(prepare));
  }
  absl::Status NotifyCheckpointComplete(CheckpointId checkpoint) override {
    committing_.Commit(checkpoint);
    return absl::OkStatus();
  }
  [[nodiscard]] bool HasPendingCommits() const override { return committing_.in_flight(); }
  void Close() override {
    if (writer_ != nullptr) writer_->Close();
    committing_.Close();
  }

  // SinkContext:
  [[nodiscard]] const OperatorContext::Place& place() const override { return context_->place(); }
  [[nodiscard]] IoPool* io_pool() const override { return context_->io_pool(); }
  [[nodiscard]] const Clock* clock() const override { return context_->clock(); }
  [[nodiscard]] const std::shared_ptr<TaskHandle>& handle() const override {
    return context_->handle();
  }
  [[nodiscard]] MetricGroup* metrics() const override { return context_->metrics(); }
  [[nodiscard]] const std::shared_ptr<StateFileStore>& state_store() const override {
    return context_->state_store();
  }

 private:
  template <class Values>
  absl::StatusOr<Progress> Write(const TypedBatch<T>& batch, const Values& values,
                                 BatchCursor& cursor) {
    while (cursor.row < values.size()) {
      if (!writer_->Ready()) return Progress::kBlocked;
      RETURN_IF_ERROR(writer_->Write(values[cursor.row], batch.event_time(cursor.row)));
      ++cursor.row;
    }
    return Progress::kDone;
  }

  const std::shared_ptr<const Sink<T>> sink_;
  OperatorContext* context_ = nullptr;
  Committing committing_;
  std::unique_ptr<SinkWriter<T>> writer_;
  Counter* records_sent_ = nullptr;
  Counter* send_errors_ = nullptr;
  bool unflushed_ = false;
};

}  // namespace weir::internal
