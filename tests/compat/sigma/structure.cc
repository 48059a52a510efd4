// Reads names of rule files from standard input, one a line, and prints for each a line of JSON:
// how its rules are understood, as a tree of tests, or why they are not.

#include <fstream>
#include <iostream>
#include <sstream>
#include <string>

#include "jobs/sigma/engine/rule.h"
#include "nlohmann/json.hpp"

namespace weir::sigma {
namespace {

using Json = nlohmann::json;

const char* TestName(Test test) {
  switch (test) {
    case Test::kEquals:
    case Test::kContains:
    case Test::kStartsWith:
    case Test::kEndsWith:
    case Test::kGlob:
      return "text";
    case Test::kRegex:
      return "re";
    case Test::kCidr:
      return "cidr";
    case Test::kLess:
      return "lt";
    case Test::kLessOrEqual:
      return "lte";
    case Test::kGreater:
      return "gt";
    case Test::kGreaterOrEqual:
      return "gte";
    case Test::kExists:
      return "exists";
    case Test::kNull:
      return "null";
    case Test::kFieldRef:
      return "fieldref";
    case Test::kTimePart:
      return "time";
  }
  return "";
}

const char* RelationName(Test relation) {
  switch (relation) {
    case Test::kContains:
      return "contains";
    case Test::kStartsWith:
      return "startswith";
    case Test::kEndsWith:
      return "endswith";
    case Test::kEquals:
      return "equals";
    default:
      return TestName(relation);
  }
}

const char* PartName(TimePart part) {
  switch (part) {
    case TimePart::kNone:
      return "";
    case TimePart::kMinute:
      return "minute";
    case TimePart::kHour:
      return "hour";
    case TimePart::kDay:
      return "day";
    case TimePart::kWeek:
      return "week";
    case TimePart::kMonth:
      return "month";
    case TimePart::kYear:
      return "year";
  }
  return "";
}

Json LeafOf(const Predicate& predicate) {
  Json leaf = {{"field", predicate.field},
               {"test", TestName(predicate.test)},
               {"value", predicate.notation}};
  if (predicate.cased) leaf["cased"] = true;
  if (predicate.test == Test::kFieldRef || predicate.test == Test::kTimePart) {
    leaf["relation"] = RelationName(predicate.relation);
  }
  if (predicate.part != TimePart::kNone) leaf["part"] = PartName(predicate.part);
  return leaf;
}

Json TreeOf(const Expression& expression) {
  if (expression.kind == Expression::Kind::kTest) return LeafOf(*expression.predicate);
  Json children = Json::array();
  for (const Expression& child : expression.children) children.push_back(TreeOf(child));
  switch (expression.kind) {
    case Expression::Kind::kAnd:
      return {{"and", children}};
    case Expression::Kind::kOr:
      return {{"or", children}};
    case Expression::Kind::kNot:
      return {{"not", children}};
    default:
      return {{"at_least", expression.count}, {"of", children}};
  }
}

Json ResultsOf(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  Json results = Json::array();
  for (const absl::StatusOr<Rule>& rule : ParseRules(text.str())) {
    if (rule.ok()) {
      results.push_back({{"condition", TreeOf(rule->condition)}});
    } else {
      results.push_back({{"error", std::string(rule.status().message())}});
    }
  }
  return results;
}

}  // namespace
}  // namespace weir::sigma

int main() {
  std::string path;
  while (std::getline(std::cin, path)) {
    const nlohmann::json line = {{"file", path}, {"rules", weir::sigma::ResultsOf(path)}};
    // Values may hold bytes that are no text, of UTF-16.
    std::cout << line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
  }
  return 0;
}
