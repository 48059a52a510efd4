#pragma once

#include "absl/status/status.h"
#include "operators/api/stream_environment.h"

namespace weir::examples {

/// CEP: finds users of whom three or more logins fail in a row and the next one succeeds, within
/// five minutes. Arguments: --records N --rate R --out DIR (default: prints).
[[nodiscard]] absl::Status BuildGuessedPasswords(StreamEnvironment& environment,
                                                 const JobArgs& args);

}  // namespace weir::examples
