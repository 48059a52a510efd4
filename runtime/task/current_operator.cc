#include "runtime/task/current_operator.h"

#include <atomic>

namespace weir {
namespace {

// Without a call into the dynamic linker, which a signal handler must not make.
__attribute__((tls_model("initial-exec"))) thread_local const OperatorContext::Place* current =
    nullptr;

}  // namespace

CurrentOperatorScope::CurrentOperatorScope(const OperatorContext::Place& place) : outer_(current) {
  current = &place;
  std::atomic_signal_fence(std::memory_order_release);  // Before whatever may crash.
}

CurrentOperatorScope::~CurrentOperatorScope() {
  std::atomic_signal_fence(std::memory_order_release);
  current = outer_;
}

const OperatorContext::Place* CurrentOperator() { return current; }

}  // namespace weir
