#include "jobs/sigma/engine/source_place.h"

#include <charconv>
#include <optional>
#include <string>

#include "absl/strings/cord.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

// Statuses carry their place beside the message, so that callers may print `file:line:column`
// first.
constexpr std::string_view kPlacePayload = "weir.sigma/place";

}  // namespace

absl::Status AddContext(const absl::Status& status, std::string_view context, SourcePlace place) {
  if (status.ok()) return status;
  absl::Status wider(status.code(), ToAbsl(StrCat(ToStd(status.message()), context)));
  if (PlaceOf(status).known()) place = PlaceOf(status);
  if (place.known()) {
    // By a view: the library's constructor from std::string has another name under Clang than under
    // GCC.
    const std::string text = StrCat(place.line, ":", place.column);
    wider.SetPayload(ToAbsl(kPlacePayload), absl::Cord(ToAbsl(text)));
  }
  return wider;
}

SourcePlace PlaceOf(const absl::Status& status) {
  const auto payload = status.GetPayload(ToAbsl(kPlacePayload));
  if (!payload) return {};
  const std::string text(*payload);
  SourcePlace place;
  const auto [colon, error] = std::from_chars(text.data(), text.data() + text.size(), place.line);
  if (error == std::errc() && colon != text.data() + text.size()) {
    std::from_chars(colon + 1, text.data() + text.size(), place.column);
  }
  return place;
}

absl::Status ErrorAt(SourcePlace place, std::string_view message) {
  return AddContext(absl::InvalidArgumentError(ToAbsl(message)), "", place);
}

}  // namespace weir::sigma
