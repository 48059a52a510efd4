#pragma once

#include <string_view>

#include "jobs/sigma/parser/event_value.h"

namespace weir::sigma {

/// Reads an event of the Windows event log as text, as log shippers write it: a line with the time,
/// then lines `Key=Value` and `Key: Value`, some of them in sections.
///
///     01/02/2026 10:00:00 AM
///     EventCode=4624
///     Message=An account was successfully logged on.
///
///     New Logon:
///     	Account Name:		alice
///
/// gives `{"EventID":"4624","Message":"An account …","TargetUserName":"alice"}`: within a section a
/// key gets the name that the event's XML has for it, or is left out if it has none. A line without
/// a separator goes on with the value before it.
[[nodiscard]] EventValue ParseWindowsEventText(std::string_view text);

}  // namespace weir::sigma
