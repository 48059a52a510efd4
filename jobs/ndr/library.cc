#include "jobs/ndr/ndr_job.h"
#include "operators/api/job.h"

namespace weir::ndr {

WEIR_JOB(
    "ndr",
    "Finds lateral movement in network events: --events FILE|DIR --detections OUT.db --out DIR",
    BuildNdr);

}  // namespace weir::ndr
