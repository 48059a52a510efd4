#include "client/rest_error.h"

#include <simdjson.h>

#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

absl::StatusCode CodeOf(int status) {
  switch (status) {
    case 400:
      return absl::StatusCode::kInvalidArgument;
    case 403:
      return absl::StatusCode::kPermissionDenied;
    case 404:
      return absl::StatusCode::kNotFound;
    case 409:
      return absl::StatusCode::kFailedPrecondition;
    case 413:
      return absl::StatusCode::kResourceExhausted;
    case 501:
      return absl::StatusCode::kUnimplemented;
    case 503:
      return absl::StatusCode::kUnavailable;
    default:
      return absl::StatusCode::kInternal;
  }
}

/// Returns the texts of {"errors": [...]}, or nothing if the body is something else.
std::vector<std::string> ListedErrors(const std::string& body) {
  std::vector<std::string> errors;
  simdjson::dom::parser parser;
  simdjson::dom::array list;
  if (parser.parse(body)["errors"].get(list) != simdjson::SUCCESS) return errors;
  for (const simdjson::dom::element element : list) {
    std::string_view text;
    if (element.get(text) == simdjson::SUCCESS) errors.emplace_back(text);
  }
  return errors;
}

}  // namespace

absl::StatusOr<std::string> BodyOrError(RestAnswer answer) {
  if (answer.status >= 200 && answer.status < 300) return std::move(answer.body);
  const std::vector<std::string> errors = ListedErrors(answer.body);
  const std::string message =
      errors.empty() ? StrCat("the server answered ", answer.status, " without saying why")
                     : StrJoin(errors, "; ");
  return absl::Status(CodeOf(answer.status), message);
}

}  // namespace weir
