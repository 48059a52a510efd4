#include "runtime/graph/job_registration.h"
#include "tests/support/job_libraries/numbers_job.h"

absl::Status DefinedNowhere(weir::StreamGraph& graph, const weir::JobArgs& args);

WEIR_REGISTER_JOB_("unknown_symbol", "Calls a function that is defined nowhere",
                   [](weir::StreamGraph& graph, const weir::JobArgs& args) {
                     return DefinedNowhere(graph, args);
                   });
