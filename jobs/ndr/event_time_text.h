#pragma once

#include <optional>
#include <string_view>

#include "runtime/record/event_time.h"

namespace weir::ndr {

/// Reads an ISO 8601 date and time: `2026-03-01T08:00:00`, with `T` or a blank between, an optional
/// fraction of a second (beyond milliseconds it is cut off), and an optional zone (`Z`, `+01:00`,
/// `+0100`, `+01`; none is UTC). Nothing if `text` is none.
[[nodiscard]] std::optional<EventTime> ParseEventTime(std::string_view text);

}  // namespace weir::ndr
