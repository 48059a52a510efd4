#pragma once

#include <cstddef>
#include <string_view>

namespace weir::sigma {

/// Returns the name that the XML of a Windows event has for what its text shows under `label` in
/// `section`; empty if it has none, or the event is not known. Letters' case counts.
[[nodiscard]] std::string_view WindowsEventField(std::string_view event_id,
                                                 std::string_view section, std::string_view label);

/// How many events the table knows, and how many fields of them all.
struct WindowsEventFieldCounts {
  size_t events = 0;
  size_t fields = 0;
};
[[nodiscard]] WindowsEventFieldCounts CountWindowsEventFields();

}  // namespace weir::sigma
