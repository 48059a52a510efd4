#pragma once

#include "runtime/base/ids.h"

namespace weir {

/// Names an operator across versions of a job: derived from its uid.
using OperatorId = HexId<struct OperatorIdTag>;

}  // namespace weir
