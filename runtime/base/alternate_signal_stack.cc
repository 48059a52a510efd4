#include "runtime/base/alternate_signal_stack.h"

#include <sys/mman.h>
#include <csignal>

namespace weir {
namespace {

// Room for unwinding a stack; memory is taken only once it is used.
constexpr size_t kBytes = size_t{128} << 10;

}  // namespace

AlternateSignalStack::AlternateSignalStack() {
  stack_t present = {};
  // A sanitizer's runtime, say, may have set one.
  if (::sigaltstack(nullptr, &present) != 0 || (present.ss_flags & SS_DISABLE) == 0) return;
  void* const memory = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return;
  const stack_t stack = {.ss_sp = memory, .ss_flags = 0, .ss_size = kBytes};
  if (::sigaltstack(&stack, nullptr) == 0) {
    memory_ = memory;
  } else {
    ::munmap(memory, kBytes);
  }
}

AlternateSignalStack::~AlternateSignalStack() {
  if (memory_ == nullptr) return;
  const stack_t none = {.ss_sp = nullptr, .ss_flags = SS_DISABLE, .ss_size = 0};
  ::sigaltstack(&none, nullptr);
  ::munmap(memory_, kBytes);
}

}  // namespace weir
