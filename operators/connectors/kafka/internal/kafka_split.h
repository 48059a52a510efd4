#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "operators/api/source.h"

namespace weir::internal {

/// A partition of a topic, from `offset` on.
struct KafkaSplit {
  std::string topic;
  int32_t partition = 0;
  int64_t offset = 0;  // Of the next record to be read.
  int64_t end = 0;     // Where the partition ended when it was found; a bounded source ends there.

  friend bool operator==(const KafkaSplit&, const KafkaSplit&) = default;
};

[[nodiscard]] SourceSplit ToSourceSplit(const KafkaSplit& split);
/// Errors: kDataLoss.
[[nodiscard]] absl::StatusOr<KafkaSplit> ParseKafkaSplit(std::string_view bytes);

}  // namespace weir::internal
