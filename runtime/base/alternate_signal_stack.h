#pragma once

#include <cstddef>

namespace weir {

/// Gives the calling thread a stack of its own for signal handlers, so that the handler of a crash
/// still runs when the thread's stack has overflowed. Made at the thread's start, destroyed by the
/// same thread at its end. If there is no memory for it, handlers run on the thread's stack.
class AlternateSignalStack {
 public:
  AlternateSignalStack();
  ~AlternateSignalStack();
  AlternateSignalStack(const AlternateSignalStack&) = delete;
  AlternateSignalStack& operator=(const AlternateSignalStack&) = delete;

 private:
  void* memory_ = nullptr;
};

}  // namespace weir
