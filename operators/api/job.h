#pragma once

#include "absl/status/status.h"
#include "operators/api/stream_environment.h"
#include "runtime/graph/job_args.h"
#include "runtime/graph/job_registration.h"

/// Registers a job of this library; at namespace scope of one source file:
///
///     absl::Status BuildWordCount(weir::StreamEnvironment& environment, const weir::JobArgs&
///     args); WEIR_JOB("word_count", "Counts words", BuildWordCount);
#define WEIR_JOB(name, description, build_function)                                \
  WEIR_REGISTER_JOB_(name, description,                                            \
                     [](::weir::StreamGraph& graph, const ::weir::JobArgs& args) { \
                       ::weir::StreamEnvironment environment(&graph);              \
                       environment.SetJobName(name);                               \
                       return ::absl::Status(build_function(environment, args));   \
                     })
