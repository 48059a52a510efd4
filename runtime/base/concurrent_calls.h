#pragma once

#include <cstddef>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

namespace weir {

/// Calls `call(i)` for every i below `num_calls`, up to `num_threads` at once, and returns when
/// none runs any more. The calling thread is one of them; the others live as long as this call.
/// After an error no further call begins; of several errors the one with the smallest i is
/// returned.
///
/// For work that waits for something (uploads, requests): on one that only computes it gains
/// nothing. Blocks. `call` must not throw.
[[nodiscard]] absl::Status CallConcurrently(size_t num_calls, int num_threads,
                                            absl::FunctionRef<absl::Status(size_t index)> call);

}  // namespace weir
