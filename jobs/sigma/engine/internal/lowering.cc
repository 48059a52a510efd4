#include "jobs/sigma/engine/internal/lowering.h"

#include <memory>
#include <utility>

#include "jobs/sigma/engine/internal/regex.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

using Kind = DetectionValue::Kind;

Expression MakeTest(Predicate predicate) {
  Expression expression;
  expression.predicate = std::make_shared<const Predicate>(std::move(predicate));
  return expression;
}

Predicate FieldTest(std::string_view field, Test test) {
  Predicate predicate;
  predicate.field = field;
  predicate.test = test;
  return predicate;
}

absl::Status UnresolvedPlaceholder(const Pattern& pattern) {
  return absl::InvalidArgumentError(
      StrCat("the placeholder has no values; give it some in the settings or by a pipeline "
             "(value_placeholders), or take the rule out: modifier=expand placeholder=%",
             pattern.PlaceholderNames().front(), "%"));
}

Expression StringTest(const std::string& field, Pattern pattern, bool cased) {
  if (field.empty()) {
    pattern.OpenStart();
    pattern.OpenEnd();
  }
  return MakeTest(MakeStringPredicate(field, std::move(pattern), cased));
}

// A number is compared as text in the form written and in the shortest one.
Expression NumberTest(const std::string& field, const std::string& text) {
  std::vector<Expression> forms;
  forms.push_back(StringTest(field, Pattern::Literal(text), false));
  const std::string canonical = CanonicalNumber(text);
  if (canonical != text) forms.push_back(StringTest(field, Pattern::Literal(canonical), false));
  return JoinExpressions(Expression::Kind::kOr, std::move(forms));
}

absl::StatusOr<Expression> RegexTest(const std::string& field, const DetectionValue& value) {
  std::string expression = value.pattern.LiteralText();
  if (value.relation == Test::kStartsWith) expression = StrCat("^(?:", expression, ")");
  if (value.relation == Test::kEndsWith) expression = StrCat("(?:", expression, ")$");
  if (!value.regex_flags.empty()) expression = StrCat("(?", value.regex_flags, ")", expression);
  absl::StatusOr<std::shared_ptr<const Regex>> regex = Regex::Compile(expression);
  if (!regex.ok()) {
    return absl::InvalidArgumentError(StrCat(
        "the regular expression is not valid; use RE2 syntax (no look-around, no back "
        "references): ",
        ToStd(regex.status().message()), " modifier=re value=", value.pattern.LiteralText()));
  }
  Predicate predicate = FieldTest(field, Test::kRegex);
  predicate.notation = std::move(expression);
  predicate.regex = *std::move(regex);
  return MakeTest(std::move(predicate));
}

absl::StatusOr<Expression> CidrTest(const std::string& field, const DetectionValue& value) {
  Predicate predicate = FieldTest(field, Test::kCidr);
  predicate.notation = value.pattern.LiteralText();
  const std::optional<CidrBlock> block = CidrBlock::Parse(predicate.notation);
  if (!block) {
    return absl::InvalidArgumentError(
        StrCat("write an address block such as 10.0.0.0/8 or fe80::/10: modifier=cidr value=",
               predicate.notation));
  }
  predicate.cidr = *block;
  return MakeTest(std::move(predicate));
}

absl::StatusOr<Expression> ComparisonTest(const std::string& field, const DetectionValue& value) {
  const std::optional<double> number = ParseNumber(value.text);
  if (!number) {
    return absl::InvalidArgumentError(
        StrCat("write a number: modifier=lt, lte, gt, gte or a part of time value=", value.text));
  }
  Predicate predicate =
      FieldTest(field, value.part == TimePart::kNone ? value.relation : Test::kTimePart);
  predicate.part = value.part;
  predicate.relation = value.part == TimePart::kNone ? Test::kEquals : value.relation;
  predicate.number = *number;
  predicate.notation = CanonicalNumber(value.text);
  return MakeTest(std::move(predicate));
}

Expression FieldRefTest(const std::string& field, const DetectionValue& value) {
  Predicate predicate = FieldTest(field, Test::kFieldRef);
  predicate.cased = value.cased;
  predicate.other_field = value.text;
  predicate.relation = value.relation;
  predicate.notation = value.text;
  return MakeTest(std::move(predicate));
}

absl::StatusOr<Expression> ValueTest(const std::string& field, const DetectionValue& value) {
  if (value.pattern.HasPlaceholder()) return UnresolvedPlaceholder(value.pattern);
  switch (value.kind) {
    case Kind::kString:
      return StringTest(field, value.pattern, value.cased);
    case Kind::kNumber:
      return NumberTest(field, value.text);
    case Kind::kBool:
      return StringTest(field, Pattern::Literal(value.text), false);
    case Kind::kNull:
      return MakeTest(FieldTest(field, Test::kNull));
    case Kind::kRegex:
      return RegexTest(field, value);
    case Kind::kCidr:
      return CidrTest(field, value);
    case Kind::kComparison:
      return ComparisonTest(field, value);
    case Kind::kExists: {
      Expression exists = MakeTest(FieldTest(field, Test::kExists));
      return value.flag ? exists : Negation(std::move(exists));
    }
    case Kind::kFieldRef:
      return FieldRefTest(field, value);
    case Kind::kAnyOf:
      break;
  }
  std::vector<Expression> forms;
  for (const DetectionValue& one : value.alternatives) {
    ASSIGN_OR_RETURN(Expression form, ValueTest(field, one));
    forms.push_back(std::move(form));
  }
  return JoinExpressions(Expression::Kind::kOr, std::move(forms));
}

// Whether a value asks for something to be absent, so that it must be absent under every name.
bool AsksForAbsence(const DetectionValue& value) {
  return value.kind == Kind::kNull || (value.kind == Kind::kExists && !value.flag);
}

absl::StatusOr<Expression> TestOfFields(const DetectionItem& item, const DetectionValue& value) {
  std::vector<Expression> tests;
  for (const std::string& field : item.fields) {
    ASSIGN_OR_RETURN(Expression test, ValueTest(field, value));
    tests.push_back(std::move(test));
  }
  return JoinExpressions(AsksForAbsence(value) ? Expression::Kind::kAnd : Expression::Kind::kOr,
                         std::move(tests));
}

// With `all`, one and the same field must fulfil all values.
absl::StatusOr<Expression> AllValuesOfOneField(const DetectionItem& item) {
  std::vector<Expression> fields;
  for (const std::string& field : item.fields) {
    std::vector<Expression> tests;
    for (const DetectionValue& value : item.values) {
      ASSIGN_OR_RETURN(Expression test,
                       AsksForAbsence(value) ? TestOfFields(item, value) : ValueTest(field, value));
      tests.push_back(std::move(test));
    }
    fields.push_back(JoinExpressions(Expression::Kind::kAnd, std::move(tests)));
  }
  return JoinExpressions(Expression::Kind::kOr, std::move(fields));
}

absl::StatusOr<Expression> AnyValue(const DetectionItem& item) {
  std::vector<Expression> tests;
  for (const DetectionValue& value : item.values) {
    ASSIGN_OR_RETURN(Expression test, TestOfFields(item, value));
    tests.push_back(std::move(test));
  }
  return JoinExpressions(Expression::Kind::kOr, std::move(tests));
}

// "Different from all values", which a field without a value is not.
Expression Different(const DetectionItem& item, Expression equal) {
  std::vector<Expression> nulls;
  for (const std::string& field : item.fields) {
    nulls.push_back(MakeTest(FieldTest(field, Test::kNull)));
  }
  std::vector<Expression> both;
  both.push_back(Negation(JoinExpressions(Expression::Kind::kAnd, std::move(nulls))));
  both.push_back(Negation(std::move(equal)));
  return JoinExpressions(Expression::Kind::kAnd, std::move(both));
}

}  // namespace

Expression JoinExpressions(Expression::Kind kind, std::vector<Expression> children) {
  if (children.size() == 1 && kind != Expression::Kind::kNot) return std::move(children.front());
  Expression expression;
  expression.kind = kind;
  expression.children = std::move(children);
  return expression;
}

Expression Negation(Expression operand) {
  std::vector<Expression> children;
  children.push_back(std::move(operand));
  return JoinExpressions(Expression::Kind::kNot, std::move(children));
}

absl::StatusOr<Expression> LowerItem(const DetectionItem& item) {
  absl::StatusOr<Expression> expression =
      item.values.empty() ? absl::InvalidArgumentError("a pipeline left no value of the field")
      : item.all          ? AllValuesOfOneField(item)
                          : AnyValue(item);
  if (!expression.ok()) {
    return AddContext(expression.status(), StrCat(" field=", item.key), item.place);
  }
  return item.negated ? Different(item, *std::move(expression)) : *std::move(expression);
}

absl::StatusOr<std::optional<Expression>> LowerSelection(const Selection& selection) {
  if (selection.kind == Selection::Kind::kItem) {
    ASSIGN_OR_RETURN(Expression expression, LowerItem(selection.item));
    return std::optional<Expression>(std::move(expression));
  }
  std::vector<Expression> parts;
  for (const Selection& child : selection.children) {
    ASSIGN_OR_RETURN(std::optional<Expression> part, LowerSelection(child));
    if (part) parts.push_back(*std::move(part));
  }
  if (parts.empty()) return std::optional<Expression>();
  const bool all = selection.kind == Selection::Kind::kAll;
  return std::optional<Expression>(
      JoinExpressions(all ? Expression::Kind::kAnd : Expression::Kind::kOr, std::move(parts)));
}

}  // namespace weir::sigma
