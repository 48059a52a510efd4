#pragma once

namespace weir {

/// What a sink promises when tasks or processes fail.
enum class DeliveryGuarantee {
  kNone,         ///< Records may be lost and may be written twice.
  kAtLeastOnce,  ///< No record is lost; those since the last checkpoint may be written twice.
  kExactlyOnce,  ///< Each record is written once, and is visible when its checkpoint has completed.
};

}  // namespace weir
