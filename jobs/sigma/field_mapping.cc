#include "jobs/sigma/field_mapping.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "jobs/sigma/yaml_value.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

using Kind = Expression::Kind;

Expression TestOf(Predicate predicate) {
  Expression expression;
  expression.kind = Kind::kTest;
  expression.predicate = std::make_shared<const Predicate>(std::move(predicate));
  return expression;
}

Expression Join(Kind kind, std::vector<Expression> children) {
  if (children.size() == 1) return std::move(children.front());
  Expression expression;
  expression.kind = kind;
  expression.children = std::move(children);
  return expression;
}

Expression NullTest(const std::string& field) {
  Predicate null;
  null.field = field;
  null.test = Test::kNull;
  return TestOf(std::move(null));
}

/// The fields that stand for one field of a rule.
std::vector<std::string> FieldsOf(const std::string& field, const FieldMapping& mapping) {
  const auto found = mapping.find(field);
  return found == mapping.end() ? std::vector<std::string>{field} : found->second;
}

/// All fields are without a value or empty, and at least one is empty.
Expression MapEmptyTest(const Predicate& predicate, const std::vector<std::string>& fields) {
  std::vector<Expression> all;
  std::vector<Expression> any;
  for (const std::string& field : fields) {
    Predicate empty = predicate;
    empty.field = field;
    any.push_back(TestOf(empty));
    std::vector<Expression> one;
    one.push_back(TestOf(std::move(empty)));
    one.push_back(NullTest(field));
    all.push_back(Join(Kind::kOr, std::move(one)));
  }
  all.push_back(Join(Kind::kOr, std::move(any)));
  return Join(Kind::kAnd, std::move(all));
}

Expression MapPredicate(const Expression& test, const FieldMapping& mapping) {
  const Predicate& predicate = *test.predicate;
  if (predicate.IsKeyword()) return test;
  const std::vector<std::string> fields = FieldsOf(predicate.field, mapping);
  const bool is_reference = predicate.test == Test::kFieldRef;
  const std::vector<std::string> others = is_reference
                                              ? FieldsOf(predicate.other_field, mapping)
                                              : std::vector<std::string>{predicate.other_field};
  if (fields.size() == 1 && others.size() == 1 && fields.front() == predicate.field &&
      others.front() == predicate.other_field) {
    return test;
  }
  if (predicate.test == Test::kEquals && predicate.literal.empty() && fields.size() > 1) {
    return MapEmptyTest(predicate, fields);
  }
  std::vector<Expression> tests;
  for (const std::string& field : fields) {
    for (const std::string& other : others) {
      Predicate mapped = predicate;
      mapped.field = field;
      mapped.other_field = other;
      tests.push_back(TestOf(std::move(mapped)));
    }
  }
  return Join(predicate.test == Test::kNull ? Kind::kAnd : Kind::kOr, std::move(tests));
}

Expression MapExpression(const Expression& expression, const FieldMapping& mapping) {
  if (expression.kind == Kind::kTest) {
    Expression mapped = MapPredicate(expression, mapping);
    mapped.selection = expression.selection;
    return mapped;
  }
  Expression mapped = expression;
  for (Expression& child : mapped.children) child = MapExpression(child, mapping);
  return mapped;
}

}  // namespace

absl::StatusOr<FieldMapping> ReadFieldMapping(std::string_view yaml) {
  ASSIGN_OR_RETURN(const EventValue document, ReadYamlValue(yaml));
  FieldMapping mapping;
  if (document.is_null()) return mapping;
  if (!document.is_object()) {
    return absl::InvalidArgumentError("the mapping of fields is no YAML mapping");
  }
  for (const EventMember& entry : document.members) {
    std::vector<std::string> fields;
    const auto add = [&](const EventValue& field) {
      const std::string_view name = StripWhitespace(field.text);
      if (!name.empty()) fields.emplace_back(name);
    };
    const bool is_list = entry.value.kind == EventValue::Kind::kArray;
    const auto is_name = [](const EventValue& value) {
      return value.is_string() || value.is_null();
    };
    if (is_list ? !std::all_of(entry.value.items.begin(), entry.value.items.end(), is_name)
                : !is_name(entry.value)) {
      return absl::InvalidArgumentError(
          StrCat("a field is mapped to something that is neither a field nor a list of fields: "
                 "field=",
                 entry.name));
    }
    add(entry.value);
    for (const EventValue& item : entry.value.items) add(item);
    if (fields.empty()) continue;
    if (std::find(fields.begin(), fields.end(), entry.name) == fields.end()) {
      fields.push_back(entry.name);
    }
    mapping[entry.name] = std::move(fields);
  }
  return mapping;
}

Rule MapFields(const Rule& rule, const FieldMapping& mapping) {
  Rule mapped = rule;
  mapped.condition = MapExpression(rule.condition, mapping);
  return mapped;
}

}  // namespace weir::sigma
