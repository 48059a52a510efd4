#pragma once

#include "absl/status/status.h"
#include "operators/api/stream_environment.h"
#include "runtime/graph/job_args.h"

namespace weir::nexmark {

/// A query of the Nexmark benchmark over generated events. Arguments: --query q0|… (or `generator`,
/// which only makes events) --events N --rate R --seed S --out blackhole|DIR and the settings of
/// ParseNexmarkSourceOptions. Errors: kInvalidArgument, naming the argument and what it may be.
[[nodiscard]] absl::Status BuildNexmark(StreamEnvironment& environment, const JobArgs& args);

}  // namespace weir::nexmark
