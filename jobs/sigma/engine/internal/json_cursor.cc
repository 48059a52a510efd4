#include "jobs/sigma/engine/internal/json_cursor.h"

#include "runtime/base/strings.h"

namespace weir::sigma {

absl::Status ReadEventTokens(std::string_view event, JsonTokens& tokens) {
  const std::string_view error = tokens.Read(event);
  if (!error.empty()) {
    return absl::InvalidArgumentError(StrCat("the event is not valid JSON: ", error));
  }
  if (tokens.First(0) == '{') return absl::OkStatus();
  return absl::InvalidArgumentError("the event is no JSON object; send one object per record");
}

absl::Status JsonCursor::status() const {
  if (error_.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      StrCat("the event is not valid JSON: ", error_, "; byte=", tokens_.Offset(at_)));
}

}  // namespace weir::sigma
