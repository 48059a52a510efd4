// One job whose description is its version: two builds of it are the same library in two versions.

#include "runtime/graph/job_registration.h"
#include "tests/support/job_libraries/numbers_job.h"

WEIR_REGISTER_JOB_("versioned", WEIR_TEST_JOB_VERSION, &weir::numbers_job::Build);
