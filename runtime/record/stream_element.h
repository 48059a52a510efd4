#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "absl/status/statusor.h"
#include "runtime/base/ids.h"
#include "runtime/record/batch.h"
#include "runtime/record/byte_io.h"
#include "runtime/record/event_time.h"

namespace weir {

/// Promises that no record with an event time at or before `time` follows on this channel.
struct Watermark {
  EventTime time;
  friend bool operator==(const Watermark&, const Watermark&) = default;
};

/// Says whether the channel's watermark counts: an idle channel does not hold event time back.
struct WatermarkStatus {
  bool idle = false;
  friend bool operator==(const WatermarkStatus&, const WatermarkStatus&) = default;
};

/// What a barrier is for. The snapshots are the same; a savepoint's barrier never overtakes
/// records.
enum class BarrierKind : uint8_t {
  kCheckpoint,
  kSavepoint,
  /// Stop with savepoint: who has taken the snapshot does nothing more, until the savepoint is
  /// complete and the task FINISHED, or it is aborted and the task goes on.
  kSuspend,
  /// The same behind the end of all input (drain): there is no going on.
  kTerminate,
};

[[nodiscard]] constexpr bool StopsTask(BarrierKind kind) {
  return kind == BarrierKind::kSuspend || kind == BarrierKind::kTerminate;
}

/// Divides the records that belong to a checkpoint from those after it.
struct CheckpointBarrier {
  CheckpointId id;
  int64_t trigger_time_ms = 0;
  BarrierKind kind = BarrierKind::kCheckpoint;
  /// Whether the checkpoint may be taken before the barrier has come through the data queued ahead
  /// of it. Such a barrier is announced.
  bool unaligned = false;
  friend bool operator==(const CheckpointBarrier&, const CheckpointBarrier&) = default;
};

/// No record follows on this channel. Barriers still do.
struct EndOfInput {
  friend bool operator==(const EndOfInput&, const EndOfInput&) = default;
};

/// The source behind this channel has read everything that was there when it started.
struct CaughtUp {
  friend bool operator==(const CaughtUp&, const CaughtUp&) = default;
};

/// Measures the time from a source to each operator it passes. Takes one way of many: where a
/// stream divides, it follows one channel.
struct LatencyMarker {
  int64_t emit_time_ms = 0;
  /// The OperatorId of where it began.
  HexId<struct OperatorIdTag> source = {};
  uint32_t subtask = 0;
  friend bool operator==(const LatencyMarker&, const LatencyMarker&) = default;
};

/// What travels on a channel: batches of records, and between them, in order, control elements.
using StreamElement = std::variant<BatchPtr, Watermark, WatermarkStatus, CheckpointBarrier,
                                   EndOfInput, CaughtUp, LatencyMarker>;

[[nodiscard]] inline bool IsBatch(const StreamElement& element) {
  return std::holds_alternative<BatchPtr>(element);
}

/// Returns the memory an element holds; 0 for control elements.
[[nodiscard]] size_t SizeBytes(const StreamElement& element);

/// Appends the element's wire form, one kind byte and its content.
void SerializeElement(const StreamElement& element, std::string* out);

/// Reads an element that fills `bytes`; its batches are of `type`. Errors: kDataLoss on malformed
/// input.
[[nodiscard]] absl::StatusOr<StreamElement> DeserializeElement(std::string_view bytes,
                                                               const BatchType& type);

}  // namespace weir
