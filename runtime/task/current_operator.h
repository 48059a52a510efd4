#pragma once

#include "runtime/task/operator.h"

namespace weir {

/// Says that this thread runs an operator's, or an operator coordinator's, user code, for as long
/// as it lives: so that a crash there can be told with its place. Costs two stores.
class CurrentOperatorScope {
 public:
  /// `place` is borrowed.
  explicit CurrentOperatorScope(const OperatorContext::Place& place);
  ~CurrentOperatorScope();
  CurrentOperatorScope(const CurrentOperatorScope&) = delete;
  CurrentOperatorScope& operator=(const CurrentOperatorScope&) = delete;

 private:
  const OperatorContext::Place* const outer_;
};

/// Returns where the calling thread is, or null if it runs no user code. May be called in a signal
/// handler.
[[nodiscard]] const OperatorContext::Place* CurrentOperator();

}  // namespace weir
