#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace weir::sigma {

/// Where in a YAML text something stands; lines and columns count from 1, 0 means unknown.
struct SourcePlace {
  int line = 0;
  int column = 0;

  [[nodiscard]] bool known() const { return line > 0; }
  friend bool operator==(const SourcePlace&, const SourcePlace&) = default;
};

/// Returns `status` with `context` behind its message, and with `place` unless it has one already:
/// the innermost place is the most exact. An OK status stays as it is.
[[nodiscard]] absl::Status AddContext(const absl::Status& status, std::string_view context,
                                      SourcePlace place = {});

/// Returns the place that an error of the rule parser points at.
[[nodiscard]] SourcePlace PlaceOf(const absl::Status& status);

/// Returns an error with a place.
[[nodiscard]] absl::Status ErrorAt(SourcePlace place, std::string_view message);

}  // namespace weir::sigma
