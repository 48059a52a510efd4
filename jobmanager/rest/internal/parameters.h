#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "jobmanager/rest/http_message.h"
#include "jobmanager/rest/internal/json_rendering.h"
#include "runtime/base/ids.h"

namespace weir::internal {

/// Returns the error for a path parameter that is not what it should be, in Flink's words.
[[nodiscard]] absl::Status BadPathParameter(std::string_view name, std::string_view value);

/// Returns the path parameter `name` as an id. Errors: kInvalidArgument unless it is 32 hexadecimal
/// digits.
template <class Id>
[[nodiscard]] absl::StatusOr<Id> IdParameter(const HttpRequest& request, std::string_view name) {
  const std::string& value = request.Parameter(name);
  absl::StatusOr<Id> id = ParseId<Id>(value);
  if (!id.ok()) return BadPathParameter(name, value);
  return id;
}

/// Returns the path parameter `name` as a checkpoint's number. Errors: kInvalidArgument.
[[nodiscard]] absl::StatusOr<CheckpointId> CheckpointParameter(const HttpRequest& request,
                                                               std::string_view name);

/// Returns a query parameter that must be a positive integer, if it was given. Errors:
/// kInvalidArgument.
[[nodiscard]] absl::StatusOr<std::optional<uint32_t>> PositiveQuery(const HttpRequest& request,
                                                                    std::string_view name);

/// Returns a query parameter that must be true or false, if it was given. Errors: kInvalidArgument.
[[nodiscard]] absl::StatusOr<std::optional<bool>> BooleanQuery(const HttpRequest& request,
                                                               std::string_view name);

/// Returns the error for a query parameter that is not what `expected` says.
[[nodiscard]] absl::Status BadQueryParameter(std::string_view name, std::string_view value,
                                             std::string_view expected);

/// Returns a path parameter that must be an index from 0. Errors: kInvalidArgument.
[[nodiscard]] absl::StatusOr<uint32_t> IndexParameter(const HttpRequest& request,
                                                      std::string_view name);

/// Returns the parts of a query parameter between its commas, without empty ones.
[[nodiscard]] std::vector<std::string> ListQuery(const HttpRequest& request, std::string_view name);

/// Both ends are in it.
struct IndexRange {
  uint32_t first = 0;
  uint32_t last = 0;
};
/// Returns a query parameter such as "1,3,5-9"; nothing if it was not given. Errors:
/// kInvalidArgument.
[[nodiscard]] absl::StatusOr<std::vector<IndexRange>> RangesQuery(const HttpRequest& request,
                                                                  std::string_view name);
/// Whether the index is in one of the ranges; none at all are all.
[[nodiscard]] bool IsIn(const std::vector<IndexRange>& ranges, uint32_t index);

/// Returns what `agg` asks for: min, max, avg, sum, skew with commas between, or all if it was not
/// given. Errors: kInvalidArgument.
[[nodiscard]] absl::StatusOr<MetricAggregation> AggregationQuery(const HttpRequest& request);

/// Splits a line of arguments at white space; single and double quotes keep it.
[[nodiscard]] std::vector<std::string> SplitArguments(std::string_view line);

}  // namespace weir::internal
