#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include "jobs/sigma/engine/internal/documents.h"
#include "jobs/sigma/engine/internal/text_fold.h"
#include "jobs/sigma/engine/internal/yaml_reader.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

constexpr int kMaxDepth = 100;

bool IsTemporal(CorrelationType type) {
  return type == CorrelationType::kTemporal || type == CorrelationType::kTemporalOrdered;
}

bool ReadsValues(CorrelationType type) {
  return !IsTemporal(type) && type != CorrelationType::kEventCount;
}

absl::StatusOr<CorrelationType> ReadType(const YAML::Node& section) {
  std::string name = FoldCase(TextAt(section, "type"));
  if (name.empty()) {
    return ErrorAt(PlaceOf(section),
                   "the correlation has no `type`; write event_count, for example");
  }
  // Types of pySigma for a condition that is a boolean expression.
  if (name == "temporal_extended" || name == "temporal_ordered_extended") {
    name.resize(name.size() - std::string_view("_extended").size());
  }
  std::vector<std::string_view> known;
  for (int i = 0; i <= static_cast<int>(CorrelationType::kValueMedian); ++i) {
    const auto type = static_cast<CorrelationType>(i);
    if (CorrelationTypeName(type) == name) return type;
    known.push_back(CorrelationTypeName(type));
  }
  const std::string_view nearest = NearestMatch(name, known);
  return ErrorAt(
      PlaceOf(section["type"]),
      StrCat("unknown correlation type",
             nearest.empty() ? "" : StrCat("; did you mean `", nearest, "`?"), ": type=", name));
}

absl::Status ReadReferences(const YAML::Node& section, CorrelationRule& rule) {
  const YAML::Node rules = section["rules"];
  if (!rules.IsDefined() || rules.IsNull()) return absl::OkStatus();
  const auto add = [&](const YAML::Node& item) -> absl::Status {
    if (!item.IsScalar() || item.Scalar().empty()) {
      return ErrorAt(PlaceOf(item), "`rules` must be an id or a name, or a list of these");
    }
    for (const CorrelationReference& other : rule.rules) {
      if (other.reference == item.Scalar()) {
        return ErrorAt(PlaceOf(item), StrCat("a rule is named twice: reference=", item.Scalar()));
      }
    }
    rule.rules.push_back({item.Scalar(), PlaceOf(item), "", false});
    return absl::OkStatus();
  };
  if (!rules.IsSequence()) return add(rules);
  for (const YAML::Node& item : rules) RETURN_IF_ERROR(add(item));
  return absl::OkStatus();
}

absl::StatusOr<absl::Duration> ReadTimespan(const YAML::Node& section) {
  const std::string text = TextAt(section, "timespan");
  if (text.empty()) {
    return ErrorAt(PlaceOf(section), "the correlation has no `timespan`; write 5m, for example");
  }
  // A month and a year are the mean ones, as in pySigma.
  static const std::map<char, int64_t> kSeconds = {{'s', 1},       {'m', 60},     {'h', 3600},
                                                   {'d', 86400},   {'w', 604800}, {'M', 2629746},
                                                   {'y', 31556952}};
  const auto unit = kSeconds.find(text.back());
  int64_t count = 0;
  const char* const end = text.data() + text.size() - 1;
  const auto [last, error] = std::from_chars(text.data(), end, count);
  constexpr int64_t kMostCount = 1'000'000'000;
  if (unit == kSeconds.end() || error != std::errc() || last != end || count < 1 ||
      count > kMostCount) {
    return ErrorAt(PlaceOf(section["timespan"]),
                   StrCat("write a whole number and a unit, s, m, h, d, w, M or y, such as 90m: "
                          "timespan=",
                          text));
  }
  return absl::Seconds(count * unit->second);
}

// Reads `not > and > or` over names, with parentheses.
class ExpressionReader {
 public:
  ExpressionReader(const std::string& text, CorrelationRule& rule, bool may_add)
      : rule_(rule), may_add_(may_add) {
    std::string word;
    for (const char c : text + " ") {
      const bool bracket = c == '(' || c == ')';
      if (!bracket && c != ' ' && c != '\t' && c != '\n' && c != '\r') {
        word.push_back(c);
        continue;
      }
      if (!word.empty()) words_.push_back(std::exchange(word, ""));
      if (bracket) words_.emplace_back(1, c);
    }
  }

  absl::StatusOr<CorrelationExpression> Read() {
    ASSIGN_OR_RETURN(CorrelationExpression expression, ReadOr(0));
    if (next_ == words_.size()) return expression;
    return absl::InvalidArgumentError(
        StrCat("`and` or `or` is missing before `", words_[next_], "`"));
  }

 private:
  using Kind = CorrelationExpression::Kind;

  bool Accept(std::string_view word) {
    if (next_ == words_.size() || FoldCase(words_[next_]) != word) return false;
    ++next_;
    return true;
  }

  static CorrelationExpression Join(Kind kind, std::vector<CorrelationExpression> children) {
    if (children.size() == 1 && kind != Kind::kNot) return std::move(children.front());
    return {kind, 0, std::move(children)};
  }

  absl::StatusOr<CorrelationExpression> ReadOr(int depth) {
    std::vector<CorrelationExpression> children;
    do {
      ASSIGN_OR_RETURN(CorrelationExpression child, ReadAnd(depth));
      children.push_back(std::move(child));
    } while (Accept("or"));
    return Join(Kind::kOr, std::move(children));
  }

  absl::StatusOr<CorrelationExpression> ReadAnd(int depth) {
    std::vector<CorrelationExpression> children;
    do {
      ASSIGN_OR_RETURN(CorrelationExpression child, ReadOperand(depth));
      children.push_back(std::move(child));
    } while (Accept("and"));
    return Join(Kind::kAnd, std::move(children));
  }

  absl::StatusOr<CorrelationExpression> ReadOperand(int depth) {
    if (depth > kMaxDepth) return absl::InvalidArgumentError("the condition nests too deeply");
    if (Accept("not")) {
      std::vector<CorrelationExpression> children;
      ASSIGN_OR_RETURN(CorrelationExpression child, ReadOperand(depth + 1));
      children.push_back(std::move(child));
      return Join(Kind::kNot, std::move(children));
    }
    if (Accept("(")) {
      ASSIGN_OR_RETURN(CorrelationExpression inner, ReadOr(depth + 1));
      if (!Accept(")")) return absl::InvalidArgumentError("`)` is missing");
      return inner;
    }
    if (next_ == words_.size()) {
      return absl::InvalidArgumentError("the condition ends where a rule is expected");
    }
    return ReadRule(words_[next_++]);
  }

  absl::StatusOr<CorrelationExpression> ReadRule(const std::string& name) {
    for (size_t i = 0; i < rule_.rules.size(); ++i) {
      if (rule_.rules[i].reference == name) return CorrelationExpression{Kind::kRule, i, {}};
    }
    if (!may_add_ || name == ")" || name == "and" || name == "or") {
      return absl::InvalidArgumentError(
          StrCat("the condition names a rule that is not under `rules`: reference=", name));
    }
    rule_.rules.push_back({name, rule_.place, "", false});
    return CorrelationExpression{Kind::kRule, rule_.rules.size() - 1, {}};
  }

  std::vector<std::string> words_;
  CorrelationRule& rule_;
  const bool may_add_;  // Rules come from the condition, for want of `rules`.
  size_t next_ = 0;
};

void CollectRules(const CorrelationExpression& expression, std::vector<bool>& used) {
  if (expression.kind == CorrelationExpression::Kind::kRule) used[expression.rule] = true;
  for (const CorrelationExpression& child : expression.children) CollectRules(child, used);
}

absl::Status ReadExpression(const YAML::Node& node, CorrelationRule& rule) {
  if (!IsTemporal(rule.type)) {
    return ErrorAt(PlaceOf(node),
                   "a boolean condition fits temporal and temporal_ordered only; write an operator "
                   "and a number, such as `gte: 10`");
  }
  const bool may_add = rule.rules.empty();
  absl::StatusOr<CorrelationExpression> expression =
      ExpressionReader(node.Scalar(), rule, may_add).Read();
  if (!expression.ok()) {
    return AddContext(expression.status(), StrCat(" condition=", node.Scalar()), PlaceOf(node));
  }
  std::vector<bool> used(rule.rules.size());
  CollectRules(*expression, used);
  for (size_t i = 0; i < used.size(); ++i) {
    if (used[i]) continue;
    return ErrorAt(PlaceOf(node),
                   StrCat("the condition does not name a rule that is under `rules`: "
                          "reference=",
                          rule.rules[i].reference));
  }
  rule.condition.expression = *std::move(expression);
  return absl::OkStatus();
}

std::optional<CorrelationBound::Operator> OperatorNamed(std::string_view name) {
  using Operator = CorrelationBound::Operator;
  if (name == "lt") return Operator::kLess;
  if (name == "lte") return Operator::kLessOrEqual;
  if (name == "gt") return Operator::kGreater;
  if (name == "gte") return Operator::kGreaterOrEqual;
  if (name == "eq") return Operator::kEqual;
  if (name == "neq") return Operator::kNotEqual;
  return std::nullopt;
}

absl::StatusOr<double> ReadNumber(const YAML::Node& node, std::string_view key) {
  const std::optional<double> number =
      node.IsScalar() ? ParseNumber(node.Scalar()) : std::optional<double>();
  if (number) return *number;
  return ErrorAt(PlaceOf(node), StrCat("write a number: condition=", key));
}

absl::Status ReadBounds(const YAML::Node& node, CorrelationRule& rule) {
  CorrelationCondition& condition = rule.condition;
  for (const auto& entry : node) {
    const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "";
    if (key == "field") {
      ASSIGN_OR_RETURN(condition.fields, ReadTexts(node, "field"));
    } else if (key == "percentile") {
      ASSIGN_OR_RETURN(condition.percentile, ReadNumber(entry.second, key));
      if (*condition.percentile < 0 || *condition.percentile > 100) {
        return ErrorAt(PlaceOf(entry.second), "a percentile lies from 0 to 100");
      }
    } else if (const auto op = OperatorNamed(key)) {
      ASSIGN_OR_RETURN(const double limit, ReadNumber(entry.second, key));
      condition.bounds.push_back({*op, limit});
    } else {
      return ErrorAt(
          PlaceOf(entry.first),
          StrCat("unknown key of a correlation condition; write gt, gte, lt, lte, eq, neq, "
                 "field or percentile: key=",
                 key));
    }
  }
  if (!condition.bounds.empty()) return absl::OkStatus();
  return ErrorAt(PlaceOf(node), "the condition has no bound; write `gte: 10`, for example");
}

absl::Status CheckFields(const YAML::Node& node, const CorrelationRule& rule) {
  const std::string_view type = CorrelationTypeName(rule.type);
  const CorrelationCondition& condition = rule.condition;
  if (ReadsValues(rule.type) && condition.fields.empty()) {
    return ErrorAt(
        PlaceOf(node),
        StrCat("the condition names no `field` whose values are looked at: type=", type));
  }
  if (!ReadsValues(rule.type) && !condition.fields.empty()) {
    return ErrorAt(PlaceOf(node),
                   StrCat("this type looks at no values; take `field` out: type=", type));
  }
  if (rule.type != CorrelationType::kValueCount && condition.fields.size() > 1) {
    return ErrorAt(PlaceOf(node), StrCat("only value_count takes several fields: type=", type));
  }
  if (rule.type != CorrelationType::kValuePercentile && condition.percentile) {
    return ErrorAt(PlaceOf(node), StrCat("`percentile` fits value_percentile only: type=", type));
  }
  return absl::OkStatus();
}

absl::Status ReadCondition(const YAML::Node& section, CorrelationRule& rule) {
  const YAML::Node node = section["condition"];
  if (node.IsDefined() && node.IsScalar()) return ReadExpression(node, rule);
  if (!node.IsDefined() || node.IsNull()) {
    if (!IsTemporal(rule.type)) {
      return ErrorAt(PlaceOf(section),
                     "the correlation has no `condition`; write `gte: 10`, for example");
    }
    // Each rule must have matched.
    rule.condition.bounds.push_back(
        {CorrelationBound::Operator::kGreaterOrEqual, static_cast<double>(rule.rules.size())});
    return absl::OkStatus();
  }
  if (!node.IsMap()) {
    return ErrorAt(PlaceOf(node), "`condition` must be a map of bounds, or an expression of rules");
  }
  RETURN_IF_ERROR(ReadBounds(node, rule));
  return CheckFields(node, rule);
}

absl::Status ReadAliases(const YAML::Node& section, CorrelationRule& rule) {
  const YAML::Node node = section["aliases"];
  if (!node.IsDefined() || node.IsNull()) return absl::OkStatus();
  if (!node.IsMap()) return ErrorAt(PlaceOf(node), "`aliases` must be a map of names");
  for (const auto& entry : node) {
    if (!entry.first.IsScalar() || !entry.second.IsMap()) {
      return ErrorAt(PlaceOf(entry.first), "an alias must be a map from rules to fields");
    }
    CorrelationAlias alias{entry.first.Scalar(), std::vector<std::string>(rule.rules.size())};
    for (const auto& field : entry.second) {
      size_t index = 0;
      while (index < rule.rules.size() &&
             !(field.first.IsScalar() && rule.rules[index].reference == field.first.Scalar())) {
        ++index;
      }
      if (index == rule.rules.size() || !field.second.IsScalar()) {
        return ErrorAt(
            PlaceOf(field.first),
            StrCat("an alias maps rules that are under `rules` to a field: alias=", alias.name));
      }
      alias.fields[index] = field.second.Scalar();
    }
    rule.aliases.push_back(std::move(alias));
  }
  return absl::OkStatus();
}

absl::Status ReadSection(const YAML::Node& section, CorrelationRule& rule) {
  if (!section.IsMap()) return ErrorAt(PlaceOf(section), "`correlation` must be a map");
  ASSIGN_OR_RETURN(rule.type, ReadType(section));
  RETURN_IF_ERROR(ReadReferences(section, rule));
  ASSIGN_OR_RETURN(rule.timespan, ReadTimespan(section));
  ASSIGN_OR_RETURN(rule.group_by, ReadTexts(section, "group-by"));
  const YAML::Node condition = section["condition"];
  const bool from_condition =
      IsTemporal(rule.type) && condition.IsDefined() && condition.IsScalar();
  if (rule.rules.empty() && !from_condition) {
    return ErrorAt(PlaceOf(section), "the correlation names no `rules`");
  }
  RETURN_IF_ERROR(ReadCondition(section, rule));
  RETURN_IF_ERROR(ReadAliases(section, rule));
  return absl::OkStatus();
}

// The specification's text has `generate` beside `correlation`, its tools inside; both are read.
absl::Status ReadGenerate(const YAML::Node& document, CorrelationRule& rule) {
  const YAML::Node section = document["correlation"];
  const YAML::Node generate =
      section["generate"].IsDefined() ? section["generate"] : document["generate"];
  if (!generate.IsDefined()) return absl::OkStatus();
  const std::string text = generate.IsScalar() ? FoldCase(generate.Scalar()) : "";
  rule.generate = text == "true";
  if (text == "true" || text == "false") return absl::OkStatus();
  return ErrorAt(PlaceOf(generate), "write true or false: generate");
}

}  // namespace

absl::StatusOr<CorrelationRule> ReadCorrelation(const YAML::Node& document,
                                                const RuleOptions& options) {
  ASSIGN_OR_RETURN(DocumentHead head, ReadHead(document, options));
  CorrelationRule rule;
  rule.id = std::move(head.id);
  rule.title = std::move(head.title);
  rule.name = std::move(head.name);
  rule.level = std::move(head.level);
  rule.status = std::move(head.status);
  rule.techniques = std::move(head.techniques);
  rule.metadata = std::move(head.metadata);
  rule.place = head.place;
  absl::Status status = ReadSection(document["correlation"], rule);
  if (status.ok()) status = ReadGenerate(document, rule);
  if (!status.ok()) return AddContext(status, "", head.place);
  return rule;
}

}  // namespace weir::sigma
