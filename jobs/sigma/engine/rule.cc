#include "jobs/sigma/engine/rule.h"

#include <algorithm>
#include <exception>
#include <set>
#include <utility>

#include "jobs/sigma/engine/internal/condition.h"
#include "jobs/sigma/engine/internal/field_item.h"
#include "jobs/sigma/engine/internal/text_fold.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "yaml-cpp/yaml.h"

namespace weir::sigma {
namespace {

absl::Status WithContext(const absl::Status& status, std::string_view context) {
  return absl::Status(status.code(), ToAbsl(StrCat(ToStd(status.message()), context)));
}

absl::StatusOr<RuleValue> ReadValue(const YAML::Node& node) {
  if (node.IsNull() || !node.IsDefined()) return RuleValue{RuleValue::Type::kNull, ""};
  if (!node.IsScalar()) {
    return absl::InvalidArgumentError(
        "a value must be a string, number, boolean or null, not a list or a map");
  }
  const std::string& text = node.Scalar();
  const bool quoted = node.Tag() != "?" && !node.Tag().empty();
  if (quoted) return RuleValue{RuleValue::Type::kString, text};
  const std::string lower = FoldCase(text);
  if (lower == "true" || lower == "false") return RuleValue{RuleValue::Type::kBool, lower};
  const bool leading_zero = text.size() > 1 && text[0] == '0' && text[1] >= '0' && text[1] <= '9';
  if (!leading_zero && ParseNumber(text)) return RuleValue{RuleValue::Type::kNumber, text};
  return RuleValue{RuleValue::Type::kString, text};
}

absl::StatusOr<std::vector<RuleValue>> ReadValues(const YAML::Node& node) {
  std::vector<RuleValue> values;
  if (!node.IsSequence()) {
    ASSIGN_OR_RETURN(RuleValue value, ReadValue(node));
    values.push_back(std::move(value));
    return values;
  }
  for (const YAML::Node& item : node) {
    ASSIGN_OR_RETURN(RuleValue value, ReadValue(item));
    values.push_back(std::move(value));
  }
  return values;
}

Expression Combine(Expression::Kind kind, std::vector<Expression> children) {
  if (children.size() == 1) return std::move(children.front());
  Expression expression;
  expression.kind = kind;
  expression.children = std::move(children);
  return expression;
}

// Reads a selection: a map (all lines hold), a keyword, or a list of both (any of them holds).
class SelectionReader {
 public:
  explicit SelectionReader(const Placeholders& placeholders) : placeholders_(placeholders) {}

  absl::StatusOr<Expression> Read(const YAML::Node& node) const {
    if (node.IsMap()) return ReadMap(node);
    if (node.IsScalar()) return ReadKeyword(node);
    if (!node.IsSequence() || node.size() == 0) {
      return absl::InvalidArgumentError(
          "a selection must be a map of fields, a keyword, or a list of these");
    }
    std::vector<Expression> alternatives;
    for (const YAML::Node& item : node) {
      if (!item.IsMap() && !item.IsScalar()) {
        return absl::InvalidArgumentError(
            "a list of a selection must hold keywords or maps of fields");
      }
      ASSIGN_OR_RETURN(Expression alternative, item.IsMap() ? ReadMap(item) : ReadKeyword(item));
      alternatives.push_back(std::move(alternative));
    }
    return Combine(Expression::Kind::kOr, std::move(alternatives));
  }

 private:
  absl::StatusOr<Expression> ReadMap(const YAML::Node& map) const {
    if (map.size() == 0)
      return absl::InvalidArgumentError("a selection must name at least one field");
    std::vector<Expression> lines;
    std::set<std::string> seen;
    for (const auto& entry : map) {
      if (!entry.first.IsScalar())
        return absl::InvalidArgumentError("a field name must be a string");
      const std::string& key = entry.first.Scalar();
      if (!seen.insert(key).second) {
        return absl::InvalidArgumentError(StrCat(
            "the field stands twice in one selection; join the values into one list: field=", key));
      }
      absl::StatusOr<Expression> line = ReadLine(key, entry.second);
      if (!line.ok()) return WithContext(line.status(), StrCat(" field=", key));
      lines.push_back(*std::move(line));
    }
    return Combine(Expression::Kind::kAnd, std::move(lines));
  }

  absl::StatusOr<Expression> ReadLine(std::string_view key, const YAML::Node& node) const {
    ASSIGN_OR_RETURN(const std::vector<RuleValue> values, ReadValues(node));
    return MakeFieldItem(key, values, placeholders_);
  }

  absl::StatusOr<Expression> ReadKeyword(const YAML::Node& node) const {
    ASSIGN_OR_RETURN(RuleValue value, ReadValue(node));
    return MakeFieldItem("", {std::move(value)}, placeholders_);
  }

  const Placeholders& placeholders_;
};

std::string Text(const YAML::Node& map, const char* key) {
  const YAML::Node node = map[key];
  return node.IsDefined() && node.IsScalar() ? node.Scalar() : std::string();
}

LogSource ReadLogSource(const YAML::Node& node) {
  if (!node.IsDefined() || !node.IsMap()) return {};
  return {Text(node, "product"), Text(node, "category"), Text(node, "service")};
}

// Takes techniques from tags of the form attack.tNNNN or attack.tNNNN.NNN; other tags are not of
// interest.
std::vector<Technique> ReadTechniques(const YAML::Node& tags) {
  constexpr std::string_view kPrefix = "attack.t";
  std::vector<Technique> techniques;
  if (!tags.IsDefined() || !tags.IsSequence()) return techniques;
  for (const YAML::Node& tag : tags) {
    if (!tag.IsScalar()) continue;
    std::string text = FoldCase(tag.Scalar());
    if (!text.starts_with(kPrefix)) continue;
    const std::string_view digits = std::string_view(text).substr(kPrefix.size());
    const bool form = (digits.size() == 4 || (digits.size() == 8 && digits[4] == '.')) &&
                      digits.find_first_not_of("0123456789.") == std::string_view::npos &&
                      digits.substr(0, 4).find('.') == std::string_view::npos;
    if (form) techniques.push_back({StrCat("T", digits), std::nullopt});
  }
  return techniques;
}

absl::StatusOr<Expression> ReadConditions(const YAML::Node& node, const Selections& selections) {
  if (!node.IsDefined()) {
    return absl::InvalidArgumentError(
        "`detection` has no `condition`; add one that names the selections");
  }
  if (!node.IsScalar() && (!node.IsSequence() || node.size() == 0)) {
    return absl::InvalidArgumentError("`condition` must be a string or a list of strings");
  }
  std::vector<Expression> alternatives;
  const auto add = [&](const YAML::Node& item) -> absl::Status {
    if (!item.IsScalar())
      return absl::InvalidArgumentError("`condition` must be a string or a list of strings");
    absl::StatusOr<Expression> condition = ParseCondition(item.Scalar(), selections);
    if (!condition.ok())
      return WithContext(condition.status(), StrCat(" condition=", item.Scalar()));
    alternatives.push_back(*std::move(condition));
    return absl::OkStatus();
  };
  if (node.IsScalar()) {
    RETURN_IF_ERROR(add(node));
  } else {
    for (const YAML::Node& item : node) RETURN_IF_ERROR(add(item));
  }
  return Combine(Expression::Kind::kOr, std::move(alternatives));
}

absl::StatusOr<Expression> ReadDetection(const YAML::Node& detection,
                                         const Placeholders& placeholders) {
  if (!detection.IsDefined()) {
    return absl::InvalidArgumentError(
        "the rule has no `detection`; add one with selections and a condition");
  }
  if (!detection.IsMap()) return absl::InvalidArgumentError("`detection` must be a map");
  const SelectionReader reader(placeholders);
  Selections selections;
  for (const auto& entry : detection) {
    if (!entry.first.IsScalar())
      return absl::InvalidArgumentError("a selection's name must be a string");
    const std::string& name = entry.first.Scalar();
    if (name == "condition" || name == "timeframe") continue;
    absl::StatusOr<Expression> selection = reader.Read(entry.second);
    if (!selection.ok()) return WithContext(selection.status(), StrCat(" selection=", name));
    if (!selections.emplace(name, *std::move(selection)).second) {
      return absl::InvalidArgumentError(
          StrCat("two selections have one name; rename one: selection=", name));
    }
  }
  return ReadConditions(detection["condition"], selections);
}

// Refuses documents that are no detection rules of their own.
absl::Status CheckKind(const YAML::Node& document) {
  if (!document.IsMap())
    return absl::InvalidArgumentError("a rule must be a map with title, logsource and detection");
  if (document["correlation"].IsDefined()) {
    return absl::UnimplementedError("correlation rules are not supported yet by this version");
  }
  if (document["filter"].IsDefined()) {
    return absl::UnimplementedError("filter documents are not supported yet by this version");
  }
  if (document["action"].IsDefined()) {
    return absl::UnimplementedError(
        "`action` documents are not supported; write each rule out in full: action=" +
        Text(document, "action"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Rule> ReadRule(const YAML::Node& document, const RuleOptions& options) {
  RETURN_IF_ERROR(CheckKind(document));
  Rule rule;
  rule.title = options.title.value_or(Text(document, "title"));
  rule.id = options.id.value_or(Text(document, "id"));
  if (rule.id.empty()) rule.id = rule.title;
  if (rule.id.empty())
    return absl::InvalidArgumentError("the rule has no `id`; give it one, a UUID for example");
  rule.level = FoldCase(options.level.value_or(Text(document, "level")));
  if (rule.level.empty()) rule.level = "medium";
  rule.status = Text(document, "status");
  rule.log_source = ReadLogSource(document["logsource"]);
  rule.techniques = options.techniques ? *options.techniques : ReadTechniques(document["tags"]);
  absl::StatusOr<Expression> condition = ReadDetection(document["detection"], options.placeholders);
  if (!condition.ok()) return WithContext(condition.status(), StrCat(" rule=", rule.id));
  rule.condition = *std::move(condition);
  return rule;
}

bool Fits(std::string_view rule_part, std::string_view event_part) {
  return rule_part.empty() || FoldCase(rule_part) == FoldCase(event_part);
}

}  // namespace

bool LogSource::Accepts(const LogSource& event_source) const {
  return Fits(product, event_source.product) && Fits(category, event_source.category) &&
         Fits(service, event_source.service);
}

std::vector<absl::StatusOr<Rule>> ParseRules(std::string_view yaml, const RuleOptions& options) {
  std::vector<absl::StatusOr<Rule>> rules;
  // The YAML library reports errors, deep nesting too, by exceptions: they end here.
  try {
    for (const YAML::Node& document : YAML::LoadAll(std::string(yaml))) {
      if (document.IsNull()) continue;
      rules.push_back(ReadRule(document, options));
    }
  } catch (const std::exception& error) {
    rules.push_back(absl::InvalidArgumentError(
        StrCat("the rule is not valid YAML; check indentation and quotes: ",
               std::string_view(error.what()))));
  }
  if (rules.empty())
    rules.push_back(absl::InvalidArgumentError("the rule's text holds no document"));
  return rules;
}

absl::StatusOr<Rule> ParseRule(std::string_view yaml, const RuleOptions& options) {
  std::vector<absl::StatusOr<Rule>> rules = ParseRules(yaml, options);
  if (rules.size() == 1) return std::move(rules.front());
  return absl::InvalidArgumentError(StrCat(
      "the text must hold one rule; send each document on its own: documents=", rules.size()));
}

}  // namespace weir::sigma
