#include "jobmanager/rest/internal/parameters.h"

#include <charconv>
#include <utility>

#include "absl/status/status.h"
#include "runtime/base/strings.h"

namespace weir::internal {
namespace {

template <class T>
std::optional<T> ParseInteger(std::string_view text) {
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

absl::Status BadQueryParameter(std::string_view name, std::string_view value,
                               std::string_view expected) {
  return absl::InvalidArgumentError(
      StrCat("Bad request, could not parse parameters: Cannot resolve query parameter (", name,
             ") from value \"", value, "\"; give ", expected, "."));
}

}  // namespace

absl::Status BadPathParameter(std::string_view name, std::string_view value) {
  return absl::InvalidArgumentError(
      StrCat("Bad request, could not parse parameters: Cannot resolve path parameter (", name,
             ") from value \"", value, "\"."));
}

absl::StatusOr<CheckpointId> CheckpointParameter(const HttpRequest& request,
                                                 std::string_view name) {
  const std::string& text = request.Parameter(name);
  const std::optional<uint64_t> value = ParseInteger<uint64_t>(text);
  if (!value.has_value()) return BadPathParameter(name, text);
  return CheckpointId(*value);
}

absl::StatusOr<std::optional<uint32_t>> PositiveQuery(const HttpRequest& request,
                                                      std::string_view name) {
  const std::string* text = request.Query(name);
  if (text == nullptr) return std::optional<uint32_t>();
  const std::optional<uint32_t> value = ParseInteger<uint32_t>(*text);
  if (value.value_or(0) == 0) return BadQueryParameter(name, *text, "a positive integer");
  return value;
}

absl::StatusOr<std::optional<bool>> BooleanQuery(const HttpRequest& request,
                                                 std::string_view name) {
  const std::string* text = request.Query(name);
  if (text == nullptr) return std::optional<bool>();
  if (*text == "true") return std::optional<bool>(true);
  if (*text == "false") return std::optional<bool>(false);
  return BadQueryParameter(name, *text, "true or false");
}

std::vector<std::string> SplitArguments(std::string_view line) {
  std::vector<std::string> arguments;
  std::optional<std::string> current;  // Present within an argument, be it empty quotes.
  char quote = 0;
  for (const char c : line) {
    const bool is_space = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    if (quote != 0 && c == quote) {
      quote = 0;
    } else if (quote == 0 && (c == '"' || c == '\'')) {
      quote = c;
      if (!current.has_value()) current.emplace();
    } else if (quote == 0 && is_space) {
      if (current.has_value()) arguments.push_back(*std::exchange(current, std::nullopt));
    } else {
      if (!current.has_value()) current.emplace();
      current->push_back(c);
    }
  }
  if (current.has_value()) arguments.push_back(*std::move(current));
  return arguments;
}

}  // namespace weir::internal
