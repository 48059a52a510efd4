#pragma once

namespace weir {

/// What `weir` tells its caller.
inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitCanceled = 3;
/// As shells count a death by SIGINT: the user stopped waiting.
inline constexpr int kExitInterrupted = 130;

}  // namespace weir
