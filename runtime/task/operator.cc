#include "runtime/task/operator.h"

#include "runtime/base/strings.h"

namespace weir {

absl::StatusOr<Progress> StreamOperator::ProcessWatermark(Watermark watermark, Output& output) {
  output.EmitWatermark(watermark.time);
  return Progress::kDone;
}

void StreamOperator::ProcessWatermarkStatus(WatermarkStatus status, Output& output) {
  output.EmitControl(status);
}

absl::StatusOr<Progress> StreamOperator::ProcessCaughtUp(uint32_t, Output&) {
  return Progress::kDone;
}

absl::StatusOr<Progress> StreamOperator::EndInput(uint32_t, Output&) { return Progress::kDone; }

absl::StatusOr<Progress> StreamOperator::OnWake(Output&) { return Progress::kDone; }

absl::StatusOr<OperatorSnapshot> StreamOperator::Snapshot(CheckpointId) {
  return OperatorSnapshot{};
}

absl::Status StreamOperator::NotifyCheckpointComplete(CheckpointId) { return absl::OkStatus(); }

absl::Status StreamOperator::NotifyCheckpointAborted(CheckpointId) { return absl::OkStatus(); }

absl::Status StreamOperator::HandleCoordinatorEvent(std::string_view) {
  return absl::InternalError("operator received an event from a coordinator, but has none");
}

absl::StatusOr<Progress> SourceOperator::ProcessBatch(uint32_t, BatchCursor&, Output&) {
  return absl::InternalError("a source has no input");
}

}  // namespace weir
