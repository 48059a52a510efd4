#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/base/status_macros.h"

/// Failpoints are named places where a test makes the engine fail, wait or die, or meets it:
///
///     // Delay, crash, call; an armed error is ignored.
///     WEIR_FAILPOINT("state/snapshot/before_upload");
///     // The same, and an armed error is returned.
///     WEIR_FAILPOINT_RETURN("checkpoint/storage/before_rename");
///
/// Name a failpoint folder/class/place. With NDEBUG both compile to nothing, unless
/// WEIR_ENABLE_FAILPOINTS is defined. While nothing is armed, passing one costs a relaxed load.
#if !defined(NDEBUG) || defined(WEIR_ENABLE_FAILPOINTS)
#define WEIR_FAILPOINTS_ARE_ON 1
#define WEIR_FAILPOINT(name)                                   \
  do {                                                         \
    if (::weir::internal::AnyFailpointArmed()) [[unlikely]]    \
      static_cast<void>(::weir::internal::HitFailpoint(name)); \
  } while (false)
#define WEIR_FAILPOINT_RETURN(name)                          \
  do {                                                       \
    if (::weir::internal::AnyFailpointArmed()) [[unlikely]]  \
      RETURN_IF_ERROR(::weir::internal::HitFailpoint(name)); \
  } while (false)
#else
#define WEIR_FAILPOINTS_ARE_ON 0
#define WEIR_FAILPOINT(name) static_cast<void>(0)
#define WEIR_FAILPOINT_RETURN(name) static_cast<void>(0)
#endif

namespace weir {

/// What an armed failpoint does, in this order: wait `delay`, make `call`, crash, or answer
/// `error`.
struct FailpointAction {
  absl::Status error{};    // Ok: none.
  absl::Duration delay{};  // Blocks the thread that passes.
  bool crash = false;      // Ends the process as kill -9 would: no flush, no destructors.
  /// For a test to meet the thread that passes. Called without any lock held.
  std::function<void()> call{};
  int64_t first_hit = 1;  // Counted from 1 since it was armed; earlier hits do nothing.
  int64_t last_hit = INT64_MAX;
};

/// Arms `name`; replaces what was armed before and counts its hits from zero. Safe from any thread.
void ArmFailpoint(std::string_view name, FailpointAction action);

/// Arms what `specification` says: "name=action;name=action", an action being `error`, `crash` or
/// `delay(100 ms)`, with `@3` for the third hit alone and `@3+` for the third and all later ones.
/// Errors: kInvalidArgument; then nothing is armed.
[[nodiscard]] absl::Status ArmFailpoints(std::string_view specification);

/// Arms what the environment variable WEIR_FAILPOINTS says. Each process's main calls it once.
/// Errors: kInvalidArgument; kFailedPrecondition if the variable is set but this build has no
/// failpoints.
[[nodiscard]] absl::Status ArmFailpointsFromEnvironment();

/// Disarms one failpoint, or all. A thread that is passing one may still act on it.
void DisarmFailpoint(std::string_view name);
void DisarmAllFailpoints();

/// Returns how often an armed failpoint was passed since it was armed; 0 if it is not armed.
[[nodiscard]] int64_t FailpointHits(std::string_view name);

/// Arms a failpoint for a scope of a test.
class ScopedFailpoint {
 public:
  ScopedFailpoint(std::string name, FailpointAction action) : name_(std::move(name)) {
    ArmFailpoint(name_, std::move(action));
  }
  ~ScopedFailpoint() { DisarmFailpoint(name_); }
  ScopedFailpoint(const ScopedFailpoint&) = delete;
  ScopedFailpoint& operator=(const ScopedFailpoint&) = delete;

  [[nodiscard]] int64_t hits() const { return FailpointHits(name_); }

 private:
  const std::string name_;
};

namespace internal {
[[nodiscard]] bool AnyFailpointArmed();
[[nodiscard]] absl::Status HitFailpoint(std::string_view name);
}  // namespace internal

}  // namespace weir
