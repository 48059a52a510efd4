#include "jobs/sigma/parser/internal/parser_functions.h"

#include <algorithm>
#include <string>
#include <vector>

#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

using Kind = ParserArgument::Kind;

constexpr ParserArgument kParseJson[] = {{"field"}, {"in_place", Kind::kBool, false, false}};
constexpr ParserArgument kRegex[] = {
    {"pattern", Kind::kText, true, false}, {"field"}, {"in_place", Kind::kBool, false, false}};
constexpr ParserArgument kRename[] = {{"from"}, {"to"}};
constexpr ParserArgument kField[] = {{"field"}};
constexpr ParserArgument kDrop[] = {{"fields", Kind::kTexts}};
constexpr ParserArgument kSet[] = {{"field"}, {"value", Kind::kAny, true, false}};

constexpr ParserSignature kFunctions[] = {
    {ParserFunction::kParseJson, "parse_json", kParseJson},
    {ParserFunction::kRegex, "regex", kRegex},
    {ParserFunction::kRename, "rename", kRename},
    {ParserFunction::kExtract, "extract", kField},
    {ParserFunction::kDrop, "drop", kDrop},
    {ParserFunction::kSet, "set", kSet},
    {ParserFunction::kParseWinEventLog, "parse_win_event_log", kField},
};

bool IsText(const EventValue& value) { return value.is_string() && !value.text.empty(); }

bool Fits(const EventValue& value, Kind kind) {
  switch (kind) {
    case Kind::kText:
      return IsText(value);
    case Kind::kTexts:
      return IsText(value) || (value.kind == EventValue::Kind::kArray && !value.items.empty() &&
                               std::all_of(value.items.begin(), value.items.end(), IsText));
    case Kind::kBool:
      return value.kind == EventValue::Kind::kBool ||
             (value.is_string() && (value.text == "true" || value.text == "false"));
    case Kind::kAny:
      return true;
  }
  return false;
}

std::string_view Wanted(Kind kind) {
  switch (kind) {
    case Kind::kText:
      return "a text that is not empty";
    case Kind::kTexts:
      return "names with commas between";
    case Kind::kBool:
      return "true or false";
    case Kind::kAny:
      return "any value";
  }
  return "";
}

/// How deep a field may lie: steps that nest values deeper and deeper would end the stack.
constexpr std::ptrdiff_t kMaxPathDepth = 32;

bool IsTooDeep(const EventValue& value) {
  return std::count(value.text.begin(), value.text.end(), '.') > kMaxPathDepth ||
         std::any_of(value.items.begin(), value.items.end(), IsTooDeep);
}

absl::Status CheckGiven(const ParserSignature& signature, const ParserStep& step) {
  std::vector<std::string_view> known;
  for (const ParserArgument& argument : signature.arguments) known.push_back(argument.name);
  for (const EventMember& given : step.arguments) {
    if (std::find(known.begin(), known.end(), given.name) != known.end()) continue;
    const std::string_view nearest = NearestMatch(given.name, known);
    return absl::InvalidArgumentError(
        StrCat("a function has no such argument",
               nearest.empty() ? std::string() : StrCat("; did you mean ", nearest, "?"),
               ": function=", step.function, " argument=", given.name));
  }
  return absl::OkStatus();
}

}  // namespace

const ParserSignature* FindParserFunction(std::string_view name) {
  for (const ParserSignature& signature : kFunctions) {
    if (signature.name == name) return &signature;
  }
  return nullptr;
}

absl::Status UnknownParserFunction(std::string_view name) {
  std::vector<std::string> known;
  std::vector<std::string_view> candidates;
  for (const ParserSignature& signature : kFunctions) {
    known.emplace_back(signature.name);
    candidates.push_back(signature.name);
  }
  const std::string_view nearest = NearestMatch(name, candidates);
  return absl::InvalidArgumentError(StrCat("the parser has an unknown function; ",
                                           nearest.empty()
                                               ? StrCat("there are ", StrJoin(known, ", "))
                                               : StrCat("did you mean ", nearest, "?"),
                                           ": function=", name));
}

absl::Status CheckParserStep(const ParserStep& step) {
  const ParserSignature* const signature = FindParserFunction(step.function);
  if (signature == nullptr) return UnknownParserFunction(step.function);
  RETURN_IF_ERROR(CheckGiven(*signature, step));
  for (const ParserArgument& argument : signature->arguments) {
    const EventValue* const value = step.Find(argument.name);
    if (value == nullptr) {
      if (!argument.required) continue;
      return absl::InvalidArgumentError(StrCat(
          "a function lacks an argument: function=", step.function, " argument=", argument.name));
    }
    if (argument.is_path && IsTooDeep(*value)) {
      return absl::InvalidArgumentError(
          StrCat("a field lies too deep: function=", step.function, " argument=", argument.name));
    }
    if (Fits(*value, argument.kind)) continue;
    return absl::InvalidArgumentError(StrCat("an argument has a wrong value; give ",
                                             Wanted(argument.kind), ": function=", step.function,
                                             " argument=", argument.name));
  }
  return absl::OkStatus();
}

}  // namespace weir::sigma
