#include "jobs/nexmark/nexmark_job.h"
#include "operators/api/job.h"

namespace weir::nexmark {

WEIR_JOB("nexmark",
         "A query of the Nexmark benchmark: --query q0|… --events N --rate R --out blackhole|DIR",
         BuildNexmark);

}  // namespace weir::nexmark
