#pragma once

#include <memory>

namespace weir {

class StreamOperator;
class OperatorCoordinator;

/// Makes one operator instance per subtask. Held by the StreamGraph, made anew in every process by
/// the job's Build. Threads: Create may be called from any thread, also at the same time.
class OperatorFactory {
 public:
  virtual ~OperatorFactory() = default;
  [[nodiscard]] virtual std::unique_ptr<StreamOperator> Create() const = 0;
};

/// Makes the coordinator of an operator, e.g. the split enumerator of a source: one per job
/// attempt.
class CoordinatorFactory {
 public:
  virtual ~CoordinatorFactory() = default;
  [[nodiscard]] virtual std::unique_ptr<OperatorCoordinator> Create() const = 0;
};

}  // namespace weir
