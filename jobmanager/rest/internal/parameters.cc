#include "jobmanager/rest/internal/parameters.h"

#include <algorithm>
#include <charconv>
#include <optional>
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

}  // namespace

absl::Status BadQueryParameter(std::string_view name, std::string_view value,
                               std::string_view expected) {
  return absl::InvalidArgumentError(
      StrCat("Bad request, could not parse parameters: Cannot resolve query parameter (", name,
             ") from value \"", value, "\"; give ", expected, "."));
}

absl::StatusOr<uint32_t> IndexParameter(const HttpRequest& request, std::string_view name) {
  const std::string& text = request.Parameter(name);
  const std::optional<uint32_t> value = ParseInteger<uint32_t>(text);
  if (!value.has_value()) return BadPathParameter(name, text);
  return *value;
}

std::vector<std::string> ListQuery(const HttpRequest& request, std::string_view name) {
  std::vector<std::string> parts;
  const std::string* const text = request.Query(name);
  if (text == nullptr) return parts;
  for (size_t begin = 0; begin <= text->size();) {
    const size_t end = std::min(text->find(',', begin), text->size());
    if (end > begin) parts.push_back(text->substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

absl::StatusOr<std::vector<IndexRange>> RangesQuery(const HttpRequest& request,
                                                    std::string_view name) {
  std::vector<IndexRange> ranges;
  for (const std::string& part : ListQuery(request, name)) {
    const std::string_view text = part;
    const size_t dash = text.find('-');
    const std::optional<uint32_t> first = ParseInteger<uint32_t>(text.substr(0, dash));
    const std::optional<uint32_t> last =
        dash == std::string_view::npos ? first : ParseInteger<uint32_t>(text.substr(dash + 1));
    if (!first.has_value() || !last.has_value() || *last < *first) {
      return BadQueryParameter(name, part, "indexes and ranges such as 1,3,5-9");
    }
    ranges.push_back({*first, *last});
  }
  return ranges;
}

bool IsIn(const std::vector<IndexRange>& ranges, uint32_t index) {
  return ranges.empty() || std::any_of(ranges.begin(), ranges.end(), [index](IndexRange range) {
           return range.first <= index && index <= range.last;
         });
}

absl::StatusOr<MetricAggregation> AggregationQuery(const HttpRequest& request) {
  const std::vector<std::string> parts = ListQuery(request, "agg");
  MetricAggregation aggregation;
  if (parts.empty()) return aggregation;
  aggregation = {false, false, false, false, false};
  for (std::string part : parts) {
    for (char& letter : part)
      letter = letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter + 32) : letter;
    if (part == "min") {
      aggregation.min = true;
    } else if (part == "max") {
      aggregation.max = true;
    } else if (part == "avg") {
      aggregation.avg = true;
    } else if (part == "sum") {
      aggregation.sum = true;
    } else if (part == "skew") {
      aggregation.skew = true;
    } else {
      return BadQueryParameter("agg", part, "min, max, avg, sum or skew");
    }
  }
  return aggregation;
}

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
