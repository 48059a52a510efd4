#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "jobs/sigma/parser/event_value.h"

namespace weir::sigma {

/// A call of one function of the parser language, with its arguments by name.
struct ParserStep {
  std::string function;
  std::vector<EventMember> arguments;

  /// Returns the argument; null if it was not given.
  [[nodiscard]] const EventValue* Find(std::string_view name) const;

  friend bool operator==(const ParserStep&, const ParserStep&) = default;
};

/// What a parser does to each event, step by step. Plain data.
struct ParserConfig {
  std::vector<ParserStep> steps;
  friend bool operator==(const ParserConfig&, const ParserConfig&) = default;
};

/// Reads the parser language:
///
///     parse_json(field="message") | extract(field="winlog.event_data")
///     | set(field="vendor", value="acme")  # The rest of a line behind # is a comment.
///
/// Texts stand in double quotes, where a backslash before a quote or a backslash takes away its
/// meaning; true, false, null, numbers and words of letters, digits, `_`, `.` and `-` may stand
/// without. Empty steps do not count. Errors: kInvalidArgument with line and column of an unknown
/// function, an argument that is missing, unknown, given twice or of the wrong kind, or whatever
/// else is not of this form.
[[nodiscard]] absl::StatusOr<ParserConfig> ParseParserText(std::string_view text);

/// Reads the form that parsers travel in: `{"steps":["set",…],"args":{"set":{…}}}`, where a
/// function has the same arguments each time, or `{"steps":[{"function":"set","args":{…}},…]}`.
/// Errors: kInvalidArgument naming the step, by its number from 1, and what is wrong.
[[nodiscard]] absl::StatusOr<ParserConfig> ReadParserConfig(const EventValue& config);

/// Appends the form that ReadParserConfig reads: the first one unless a function occurs with
/// different arguments.
void AppendParserConfig(const ParserConfig& config, std::string* json);

}  // namespace weir::sigma
