#include "operators/process/sink_writer_operator.h"

namespace weir::internal {

SinkWriterOperatorBase::SinkWriterOperatorBase() = default;
SinkWriterOperatorBase::~SinkWriterOperatorBase() = default;

absl::Status SinkWriterOperatorBase::Open(OperatorContext& context, Output&,
                                          std::vector<OperatorSubtaskState> restored) {
  context_ = &context;
  records_sent_ = context.metrics()->AddCounter("numRecordsSend");
  send_errors_ = context.metrics()->AddCounter("numRecordsSendErrors");
  RETURN_IF_ERROR(committing_.Open(context, sink().CreateCommitter(*this), std::move(restored)));
  ASSIGN_OR_RETURN(writer_, MakeWriter());
  return absl::OkStatus();
}

absl::StatusOr<Progress> SinkWriterOperatorBase::ProcessBatch(uint32_t, BatchCursor& cursor,
                                                              Output&) {
  const size_t begin = cursor.row;
  absl::StatusOr<Progress> progress = Write(cursor);
  if (cursor.row > begin) {
    unflushed_ = true;
    records_sent_->Add(cursor.row - begin);
  }
  if (!progress.ok()) send_errors_->Add();
  return progress;
}

absl::StatusOr<Progress> SinkWriterOperatorBase::OnWake(Output&) {
  committing_.OnWake();
  return Progress::kDone;
}

absl::Status SinkWriterOperatorBase::OnIdle() {
  if (!std::exchange(unflushed_, false)) return absl::OkStatus();
  return writer_->Flush();
}

absl::StatusOr<Progress> SinkWriterOperatorBase::EndInput(uint32_t, Output&) {
  RETURN_IF_ERROR(writer_->EndInput());
  return Progress::kDone;
}

absl::StatusOr<OperatorSnapshot> SinkWriterOperatorBase::Snapshot(CheckpointId checkpoint) {
  unflushed_ = false;
  ASSIGN_OR_RETURN(PrepareCommit prepare, writer_->BeginCommit(checkpoint));
  return committing_.Snapshot(checkpoint, std::move(prepare));
}

absl::Status SinkWriterOperatorBase::NotifyCheckpointComplete(CheckpointId checkpoint) {
  committing_.Commit(checkpoint);
  return absl::OkStatus();
}

void SinkWriterOperatorBase::Close() {
  if (writer_ != nullptr) writer_->Close();
  committing_.Close();
}

}  // namespace weir::internal
