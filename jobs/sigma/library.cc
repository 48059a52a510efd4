#include "jobs/sigma/sigma_job.h"
#include "operators/api/job.h"

namespace weir::sigma {

WEIR_JOB(
    "sigma",
    "Tags events with the Sigma rules they match: --rules FILE|DIR --events FILE|DIR --out DIR",
    BuildSigma);

}  // namespace weir::sigma
