#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "absl/status/status.h"
#include "jobs/sigma/parser/parser_config.h"

namespace weir::sigma {

/// The functions of the parser language.
enum class ParserFunction : uint8_t {
  kParseJson,
  kRegex,
  kRename,
  kExtract,
  kDrop,
  kSet,
  kParseWinEventLog,
};

/// One argument of a function.
struct ParserArgument {
  enum class Kind : uint8_t { kText, kTexts, kBool, kAny };

  std::string_view name;
  Kind kind = Kind::kText;
  bool required = true;
  bool is_path = true;  ///< Names fields.
};

/// A function with its arguments, in the order in which the language's text has them.
struct ParserSignature {
  ParserFunction function;
  std::string_view name;
  std::span<const ParserArgument> arguments;
};

/// Returns the function of that name; null if there is none.
[[nodiscard]] const ParserSignature* FindParserFunction(std::string_view name);

/// Returns what there is no function `name` for, with the nearest one.
[[nodiscard]] absl::Status UnknownParserFunction(std::string_view name);

/// Checks that `step` has the arguments of its function. Errors: kInvalidArgument.
[[nodiscard]] absl::Status CheckParserStep(const ParserStep& step);

}  // namespace weir::sigma
