#pragma once

#include <optional>
#include <string_view>

#include "jobs/sigma/engine/predicate.h"

namespace weir::sigma {

/// Returns a part of the point in time that `text` spells; nothing if it spells none.
///
/// Reads ISO 8601 and its usual relatives (`2024-05-01T12:34:56.789Z`, `2024-05-01 12:34`,
/// `2024/05/01`) with the clock as written, whatever its zone: Sigma asks for no conversion. A bare
/// number is seconds, milliseconds, microseconds or nanoseconds since 1970 in UTC, told apart by
/// their size. Weeks are those of ISO 8601.
[[nodiscard]] std::optional<int> PartOfTimestamp(std::string_view text, TimePart part);

}  // namespace weir::sigma
