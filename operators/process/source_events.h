#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "operators/api/functions.h"
#include "operators/api/source.h"
#include "runtime/graph/operator_factory.h"
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
  };
  Kind kind = Kind::kRegister;
  std::vector<SplitBytes> splits;
  std::string payload;
};

/// Runs a SplitEnumerator as the coordinator of its source.
[[nodiscard]] std::unique_ptr<OperatorCoordinator> MakeEnumeratorCoordinator(
    std::unique_ptr<SplitEnumerator> enumerator);

/// Emits on the side output DeadLetterTag; here, so that not every source compiles it.
void CollectDeadLetter(SideCollectors& side_outputs, DeadLetter letter);

/// Makes the coordinator of `Source`.
template <class T>
class SourceCoordinatorFactory final : public CoordinatorFactory {
 public:
  explicit SourceCoordinatorFactory(std::shared_ptr<const Source<T>> source)
      : source_(std::move(source)) {}
  [[nodiscard]] std::unique_ptr<OperatorCoordinator> Create() const override {
    return MakeEnumeratorCoordinator(source_->CreateEnumerator());
  }

 private:
  const std::shared_ptr<const Source<T>> source_;
};

}  // namespace weir::internal
