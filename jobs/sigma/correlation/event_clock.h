#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace weir::sigma {

/// Returns the milliseconds since 1970 that `text` spells: ISO 8601 and its usual relatives, UTC
/// unless it names a zone, or a number of seconds, milliseconds, microseconds or nanoseconds, told
/// apart by their size. Nothing if it spells no time.
[[nodiscard]] std::optional<int64_t> ParseEventTime(std::string_view text);

/// Fields in which events of the usual kinds hold their time, in the order in which they are asked.
[[nodiscard]] const std::vector<std::string>& UsualTimeFields();

}  // namespace weir::sigma
