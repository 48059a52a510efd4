#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "operators/api/functions.h"
#include "operators/api/source.h"
#include "operators/api/watermark_strategy.h"
#include "operators/process/watermark_alignment.h"
#include "runtime/graph/operator_factory.h"
#include "runtime/record/event_time.h"
#include "runtime/task/coordinator.h"

namespace weir {

/// The side output of a source for records that it cannot read (SourceOutput::CollectDeadLetter).
[[nodiscard]] inline OutputTag<DeadLetter> DeadLetterTag() {
  return OutputTag<DeadLetter>("dead-letters");
}

}  // namespace weir

namespace weir::internal {

/// A split in state and on the wire.
struct SplitBytes {
  std::string id;
  std::string bytes;
};

/// What readers and their enumerator say to each other.
struct SourceEvent {
  enum class Kind : uint8_t {
    kRegister,               ///< Reader: has started, with these splits (ids only).
    kRequestSplit,           ///< Reader: could take another split.
    kAssignSplits,           ///< Enumerator.
    kNoMoreSplits,           ///< Enumerator.
    kInitialSplitsAssigned,  ///< Enumerator.
    kCustom,                 ///< Either: an event of the source's own, in `payload`.
    kReportWatermark,        ///< Reader: how far its slowest split has come, in `watermark_ms`.
    kAlignment,              ///< Coordinator: how far splits may come, in `watermark_ms`.
  };
  Kind kind = Kind::kRegister;
  std::vector<SplitBytes> splits;
  std::string payload;
  int64_t watermark_ms = EventTime::Min().millis();
};

/// Runs a SplitEnumerator as the coordinator of its source, and aligns the source's watermarks with
/// those of its group if there is one.
[[nodiscard]] std::unique_ptr<OperatorCoordinator> MakeEnumeratorCoordinator(
    std::unique_ptr<SplitEnumerator> enumerator, std::optional<AlignmentOptions> alignment);

/// How many sources of a job name each alignment group. Filled while Build runs, constant after.
using AlignmentGroups = std::map<std::string, uint32_t>;

/// Emits on the side output DeadLetterTag; here, so that not every source compiles it.
void CollectDeadLetter(SideCollectors& side_outputs, DeadLetter letter);

/// Makes the factory of the coordinator of `source`. `groups` counts this source already.
[[nodiscard]] std::shared_ptr<const CoordinatorFactory> MakeSourceCoordinatorFactory(
    std::shared_ptr<const SourceBase> source, WatermarkAlignmentSettings alignment,
    std::shared_ptr<const AlignmentGroups> groups);

}  // namespace weir::internal
