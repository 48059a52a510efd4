#include <algorithm>
#include <memory>
#include <utility>

#include "jobs/sigma/engine/internal/condition.h"
#include "jobs/sigma/engine/internal/pipeline_model.h"
#include "jobs/sigma/engine/internal/text_fold.h"
#include "re2/re2.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

using RuleCondition = RuleConditions::Condition;
using ItemCondition = ItemConditions::Condition;
using FieldCondition = FieldConditions::Condition;

absl::StatusOr<std::string> TakeOperator(KeyReader& keys, bool lists) {
  const YAML::Node node = keys.Take("op");
  if (!node.IsDefined()) return std::string("eq");
  const std::string op = node.IsScalar() ? node.Scalar() : "";
  static const std::vector<std::string_view> kKnown = {"eq", "ne", "gte", "gt", "lte", "lt"};
  const bool known = std::find(kKnown.begin(), kKnown.end(), op) != kKnown.end();
  if (known || (lists && (op == "in" || op == "not_in"))) return op;
  return ErrorAt(PlaceOf(node), StrCat("unknown operator; write eq, ne, gt, gte, lt or lte",
                                       lists ? ", in or not_in" : "", ": op=", op));
}

bool Compare(const std::string& op, int order) {
  if (op == "eq") return order == 0;
  if (op == "ne") return order != 0;
  if (op == "gt") return order > 0;
  if (op == "gte") return order >= 0;
  if (op == "lt") return order < 0;
  return order <= 0;
}

// Numbers are compared as such, other texts by their letters, as suits dates.
int Order(const std::string& left, const std::string& right) {
  const std::optional<double> a = ParseNumber(left);
  const std::optional<double> b = ParseNumber(right);
  if (a && b) return *a < *b ? -1 : *a > *b ? 1 : 0;
  return left.compare(right);
}

std::string Optional(KeyReader& keys, const char* key) {
  const YAML::Node node = keys.Take(key);
  return node.IsDefined() && node.IsScalar() && !node.IsNull() ? node.Scalar() : std::string();
}

absl::StatusOr<RuleCondition> ReadLogSourceCondition(KeyReader& keys) {
  LogSource source;
  source.category = Optional(keys, "category");
  source.product = Optional(keys, "product");
  source.service = Optional(keys, "service");
  if (source == LogSource{}) {
    return ErrorAt(PlaceOf(keys.map()), "write at least one of category, product and service");
  }
  // Parts that the condition does not name do not matter.
  return RuleCondition([source](const PipelineSubject& subject, const PipelineState&) {
    if (subject.rule != nullptr) return source.Accepts(subject.rule->head.log_source);
    return std::any_of(subject.rules->begin(), subject.rules->end(), [&](const auto& rule) {
      const auto& references = subject.correlation->rules;
      return source.Accepts(rule->log_source) &&
             std::any_of(references.begin(), references.end(), [&](const auto& reference) {
               return reference.reference == rule->id || reference.reference == rule->name;
             });
    });
  });
}

bool SameValue(const DetectionValue& value, const DetectionValue& wanted) {
  if (value.kind != wanted.kind) return false;
  switch (value.kind) {
    case DetectionValue::Kind::kString:
      return value.pattern.PlainText() == wanted.pattern.PlainText();
    case DetectionValue::Kind::kNumber:
      return CanonicalNumber(value.text) == CanonicalNumber(wanted.text);
    default:
      return value.text == wanted.text;
  }
}

template <class Holds>
RuleCondition AnyItem(Holds holds) {
  return [holds](const PipelineSubject& subject, const PipelineState&) {
    if (subject.rule == nullptr) return false;
    bool found = false;
    ForEachSelection(std::as_const(*subject.rule), [&](const Selection& selection) {
      ForEachItem(selection, [&](const DetectionItem& item) { found = found || holds(item); });
    });
    return found;
  };
}

bool HasField(const DetectionItem& item, const std::string& field) {
  return !field.empty() &&
         std::find(item.fields.begin(), item.fields.end(), field) != item.fields.end();
}

absl::StatusOr<RuleCondition> ReadContainsItem(KeyReader& keys) {
  const std::string field = Optional(keys, "field");
  const YAML::Node node = keys.Take("value");
  if (!node.IsDefined()) return keys.Missing("value");
  ASSIGN_OR_RETURN(const RuleValue scalar, ReadScalar(node));
  const DetectionValue wanted = PlainValue(scalar);
  return AnyItem([field, wanted](const DetectionItem& item) {
    return HasField(item, field) &&
           std::any_of(item.values.begin(), item.values.end(),
                       [&](const DetectionValue& value) { return SameValue(value, wanted); });
  });
}

absl::StatusOr<RuleCondition> ReadStateCondition(KeyReader& keys) {
  ASSIGN_OR_RETURN(const std::string key, keys.TakeText("key"));
  ASSIGN_OR_RETURN(const std::string value, keys.TakeText("val"));
  ASSIGN_OR_RETURN(const std::string op, TakeOperator(keys, false));
  return RuleCondition([=](const PipelineSubject&, const PipelineState& state) {
    const auto found = state.values.find(key);
    return found != state.values.end() && Compare(op, Order(found->second, value));
  });
}

// Levels and statuses have an order of their own.
std::optional<std::string> Rank(const std::string& attribute, const std::string& value) {
  static const std::vector<std::string_view> kLevels = {"informational", "low", "medium", "high",
                                                        "critical"};
  static const std::vector<std::string_view> kStatuses = {"unsupported", "deprecated",
                                                          "experimental", "test", "stable"};
  const auto& ranks = attribute == "level" ? kLevels : kStatuses;
  const auto found = std::find(ranks.begin(), ranks.end(), FoldCase(value));
  if (found == ranks.end()) return std::nullopt;
  return std::to_string(found - ranks.begin());
}

struct Attribute {
  std::vector<std::string> values;
  bool is_list = false;
};

template <class Head>
std::optional<Attribute> AttributeOf(const Head& head, const std::string& name) {
  const RuleMetadata& metadata = head.metadata;
  const std::map<std::string_view, const std::vector<std::string>*> lists = {
      {"tags", &metadata.tags},
      {"references", &metadata.references},
      {"falsepositives", &metadata.false_positives},
      {"fields", &metadata.fields},
      {"scope", &metadata.scope}};
  if (const auto list = lists.find(name); list != lists.end())
    return Attribute{*list->second, true};
  const std::map<std::string_view, const std::string*> texts = {
      {"id", &head.id},
      {"title", &head.title},
      {"name", &head.name},
      {"level", &head.level},
      {"status", &head.status},
      {"description", &metadata.description},
      {"author", &metadata.author},
      {"date", &metadata.date},
      {"modified", &metadata.modified},
      {"license", &metadata.license},
      {"taxonomy", &metadata.taxonomy}};
  const auto text = texts.find(name);
  if (text == texts.end() || text->second->empty()) return std::nullopt;
  return Attribute{{*text->second}, false};
}

std::optional<Attribute> AttributeOf(const PipelineSubject& subject, const std::string& name) {
  if (subject.rule == nullptr) return AttributeOf(*subject.correlation, name);
  if (auto found = AttributeOf(subject.rule->head, name)) return found;
  const auto custom = subject.rule->attributes.find(name);
  if (custom == subject.rule->attributes.end()) return std::nullopt;
  return Attribute{{custom->second}, false};
}

absl::StatusOr<RuleCondition> ReadAttributeCondition(KeyReader& keys) {
  ASSIGN_OR_RETURN(const std::string name, keys.TakeText("attribute"));
  ASSIGN_OR_RETURN(std::string value, keys.TakeText("value"));
  ASSIGN_OR_RETURN(const std::string op, TakeOperator(keys, true));
  const bool ranked = name == "level" || name == "status";
  if (ranked) {
    const std::optional<std::string> rank = Rank(name, value);
    if (!rank) {
      return ErrorAt(PlaceOf(keys.map()), StrCat("no such ", name, ": value=", value));
    }
    value = *rank;
  }
  return RuleCondition([=](const PipelineSubject& subject, const PipelineState&) {
    const std::optional<Attribute> attribute = AttributeOf(subject, name);
    if (!attribute) return false;
    if (attribute->is_list || op == "in" || op == "not_in") {
      const auto& values = attribute->values;
      const bool found = std::find(values.begin(), values.end(), value) != values.end();
      return op == "in" ? found : op == "not_in" ? !found : op == "ne";
    }
    const std::string& own = attribute->values.front();
    const std::optional<std::string> rank = ranked ? Rank(name, own) : std::nullopt;
    if (ranked && !rank) return false;
    return Compare(op, Order(rank.value_or(own), value));
  });
}

absl::StatusOr<RuleCondition> ReadTagCondition(KeyReader& keys) {
  ASSIGN_OR_RETURN(const std::string tag, keys.TakeText("tag"));
  const std::string folded = FoldCase(tag);
  return RuleCondition([folded](const PipelineSubject& subject, const PipelineState&) {
    const std::vector<std::string>& tags = subject.rule != nullptr
                                               ? subject.rule->head.metadata.tags
                                               : subject.correlation->metadata.tags;
    return std::any_of(tags.begin(), tags.end(),
                       [&](const std::string& one) { return FoldCase(one) == folded; });
  });
}

absl::Status UnknownCondition(KeyReader& keys, const std::string& type,
                              const std::vector<std::string_view>& known) {
  const std::string_view nearest = NearestMatch(type, known);
  return ErrorAt(
      PlaceOf(keys.map()),
      StrCat("unknown condition", nearest.empty() ? "" : StrCat("; did you mean `", nearest, "`?"),
             ": condition=", type));
}

absl::StatusOr<RuleCondition> ReadCondition(const std::string& type, KeyReader& keys,
                                            RuleConditions*) {
  if (type == "logsource") return ReadLogSourceCondition(keys);
  if (type == "contains_detection_item") return ReadContainsItem(keys);
  if (type == "contains_field") {
    const std::string field = Optional(keys, "field");
    return AnyItem([field](const DetectionItem& item) { return HasField(item, field); });
  }
  if (type == "processing_item_applied") {
    ASSIGN_OR_RETURN(const std::string id, keys.TakeText("processing_item_id"));
    return RuleCondition([id](const PipelineSubject& subject, const PipelineState& state) {
      return state.applied.contains(id) ||
             (subject.rule != nullptr && subject.rule->applied.contains(id));
    });
  }
  if (type == "processing_state") return ReadStateCondition(keys);
  if (type == "is_sigma_rule" || type == "is_sigma_correlation_rule") {
    const bool rule = type == "is_sigma_rule";
    return RuleCondition([rule](const PipelineSubject& subject, const PipelineState&) {
      return (subject.rule != nullptr) == rule;
    });
  }
  if (type == "rule_attribute") return ReadAttributeCondition(keys);
  if (type == "tag") return ReadTagCondition(keys);
  return UnknownCondition(
      keys, type,
      {"logsource", "contains_detection_item", "contains_field", "processing_item_applied",
       "processing_state", "is_sigma_rule", "is_sigma_correlation_rule", "rule_attribute", "tag"});
}

absl::StatusOr<std::shared_ptr<const RE2>> CompilePattern(const std::string& pattern,
                                                          SourcePlace place) {
  RE2::Options options;
  options.set_log_errors(false);
  auto compiled = std::make_shared<const RE2>(pattern, options);
  if (compiled->ok()) return compiled;
  return ErrorAt(place, StrCat("the regular expression is not valid: ", compiled->error(),
                               ": pattern=", pattern));
}

bool MatchesAtStart(const RE2& pattern, const std::string& text) {
  return pattern.Match(text, 0, text.size(), RE2::ANCHOR_START, nullptr, 0);
}

// Makes a condition of values into one of items: `cond` tells whether any or all values must fulfil
// it.
template <class Holds>
absl::StatusOr<ItemCondition> OfValues(KeyReader& keys, Holds holds) {
  ASSIGN_OR_RETURN(const std::string cond, keys.TakeText("cond"));
  if (cond != "any" && cond != "all") {
    return ErrorAt(PlaceOf(keys.map()), StrCat("write any or all: cond=", cond));
  }
  const bool all = cond == "all";
  return ItemCondition([all, holds](const DetectionItem& item, const PipelineState&) {
    return all ? std::all_of(item.values.begin(), item.values.end(), holds)
               : std::any_of(item.values.begin(), item.values.end(), holds);
  });
}

absl::StatusOr<ItemCondition> ReadMatchString(KeyReader& keys) {
  ASSIGN_OR_RETURN(const std::string text, keys.TakeText("pattern"));
  ASSIGN_OR_RETURN(const bool negate, keys.TakeBool("negate", false));
  ASSIGN_OR_RETURN(const auto pattern, CompilePattern(text, PlaceOf(keys.map())));
  return OfValues(keys, [pattern, negate](const DetectionValue& value) {
    const bool matches = value.kind == DetectionValue::Kind::kString &&
                         MatchesAtStart(*pattern, value.pattern.PlainText());
    return matches != negate;
  });
}

absl::StatusOr<ItemCondition> ReadCondition(const std::string& type, KeyReader& keys,
                                            ItemConditions*) {
  using Kind = DetectionValue::Kind;
  if (type == "match_string") return ReadMatchString(keys);
  if (type == "match_value") {
    const YAML::Node node = keys.Take("value");
    if (!node.IsDefined()) return keys.Missing("value");
    ASSIGN_OR_RETURN(const RuleValue scalar, ReadScalar(node));
    const DetectionValue wanted = PlainValue(scalar);
    return OfValues(keys,
                    [wanted](const DetectionValue& value) { return SameValue(value, wanted); });
  }
  if (type == "contains_wildcard") {
    return OfValues(keys, [](const DetectionValue& value) {
      return value.kind == Kind::kString && value.pattern.HasWildcard();
    });
  }
  if (type == "is_null") {
    return OfValues(keys, [](const DetectionValue& value) { return value.kind == Kind::kNull; });
  }
  if (type == "processing_item_applied") {
    ASSIGN_OR_RETURN(const std::string id, keys.TakeText("processing_item_id"));
    return ItemCondition([id](const DetectionItem& item, const PipelineState&) {
      return item.applied.contains(id);
    });
  }
  if (type == "processing_state") {
    ASSIGN_OR_RETURN(const RuleCondition condition, ReadStateCondition(keys));
    return ItemCondition([condition](const DetectionItem&, const PipelineState& state) {
      return condition(PipelineSubject{}, state);
    });
  }
  return UnknownCondition(keys, type,
                          {"match_string", "match_value", "contains_wildcard", "is_null",
                           "processing_item_applied", "processing_state"});
}

absl::StatusOr<FieldCondition> ReadFieldList(KeyReader& keys, bool include) {
  ASSIGN_OR_RETURN(const std::vector<std::string> fields, keys.TakeTexts("fields"));
  const std::string mode = Optional(keys, "mode");
  if (mode.empty() || mode == "plain") {
    const std::set<std::string> names(fields.begin(), fields.end());
    return FieldCondition([names, include](const std::string& field, const PipelineState&) {
      return (!field.empty() && names.contains(field)) == include;
    });
  }
  if (mode != "re") {
    return ErrorAt(PlaceOf(keys.map()), StrCat("write plain or re: mode=", mode));
  }
  std::vector<std::shared_ptr<const RE2>> patterns;
  for (const std::string& field : fields) {
    ASSIGN_OR_RETURN(std::shared_ptr<const RE2> pattern,
                     CompilePattern(field, PlaceOf(keys.map())));
    patterns.push_back(std::move(pattern));
  }
  return FieldCondition([patterns, include](const std::string& field, const PipelineState&) {
    const bool found =
        !field.empty() && std::any_of(patterns.begin(), patterns.end(), [&](const auto& pattern) {
          return MatchesAtStart(*pattern, field);
        });
    return found == include;
  });
}

absl::StatusOr<FieldCondition> ReadCondition(const std::string& type, KeyReader& keys,
                                             FieldConditions*) {
  if (type == "include_fields") return ReadFieldList(keys, true);
  if (type == "exclude_fields") return ReadFieldList(keys, false);
  if (type == "processing_item_applied") {
    ASSIGN_OR_RETURN(const std::string id, keys.TakeText("processing_item_id"));
    return FieldCondition([id](const std::string& field, const PipelineState& state) {
      const auto found = state.field_applied.find(field);
      return found != state.field_applied.end() && found->second.contains(id);
    });
  }
  if (type == "processing_state") {
    ASSIGN_OR_RETURN(const RuleCondition condition, ReadStateCondition(keys));
    return FieldCondition([condition](const std::string&, const PipelineState& state) {
      return condition(PipelineSubject{}, state);
    });
  }
  return UnknownCondition(
      keys, type,
      {"include_fields", "exclude_fields", "processing_item_applied", "processing_state"});
}

// Reads `not a and (b or c)` over the conditions' names.
absl::StatusOr<Expression> ReadFormula(const YAML::Node& node,
                                       const std::vector<std::string>& names) {
  Selections tests;
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i].empty()) {
      return ErrorAt(PlaceOf(node),
                     "an expression needs names for the conditions; write them as a map");
    }
    Predicate index;
    index.number = static_cast<double>(i);
    Expression test;
    test.predicate = std::make_shared<const Predicate>(std::move(index));
    tests[names[i]] = std::move(test);
  }
  absl::StatusOr<std::optional<Expression>> formula =
      node.IsScalar() ? ParseCondition(node.Scalar(), tests)
                      : absl::InvalidArgumentError("the expression must be a text");
  if (!formula.ok()) return AddContext(formula.status(), "", PlaceOf(node));
  if (!*formula) return ErrorAt(PlaceOf(node), "the expression is empty");
  return **std::move(formula);
}

template <class Group>
absl::Status AddCondition(const std::string& name, const YAML::Node& node, Group& group) {
  if (!node.IsMap()) return ErrorAt(PlaceOf(node), "a condition must be a map with a `type`");
  KeyReader keys(node);
  const auto read = [&]() -> absl::Status {
    ASSIGN_OR_RETURN(const std::string type, keys.TakeText("type"));
    ASSIGN_OR_RETURN(auto condition, ReadCondition(type, keys, &group));
    RETURN_IF_ERROR(keys.RefuseOthers());
    group.conditions.push_back(std::move(condition));
    return absl::OkStatus();
  };
  const std::string context = name.empty() ? StrCat("#", group.conditions.size() + 1) : name;
  return AddContext(read(), StrCat(" condition=", context), PlaceOf(node));
}

// `kind` is rule, detection_item or field_name.
template <class Group>
absl::Status ReadGroup(KeyReader& keys, const std::string& kind, Group& group) {
  std::vector<std::string> names;
  const YAML::Node list = keys.Take((kind + "_conditions").c_str());
  if (list.IsDefined() && list.IsMap()) {
    for (const auto& entry : list) {
      names.push_back(entry.first.Scalar());
      RETURN_IF_ERROR(AddCondition(names.back(), entry.second, group));
    }
  } else if (list.IsDefined() && list.IsSequence()) {
    for (const YAML::Node& node : list) {
      names.emplace_back();
      RETURN_IF_ERROR(AddCondition("", node, group));
    }
  } else if (list.IsDefined() && !list.IsNull()) {
    return ErrorAt(PlaceOf(list),
                   StrCat("write a list or a map of conditions: key=", kind, "_conditions"));
  }
  const YAML::Node op = keys.Take((kind + "_cond_op").c_str());
  if (op.IsDefined()) {
    const std::string text = op.IsScalar() ? FoldCase(op.Scalar()) : "";
    group.any = text == "or";
    if (text != "or" && text != "and") {
      return ErrorAt(PlaceOf(op), StrCat("write and or or: key=", kind, "_cond_op"));
    }
  }
  ASSIGN_OR_RETURN(group.negated, keys.TakeBool((kind + "_cond_not").c_str(), false));
  const YAML::Node formula = keys.Take((kind + "_cond_expr").c_str());
  if (!formula.IsDefined()) return absl::OkStatus();
  if (op.IsDefined()) {
    return ErrorAt(PlaceOf(op),
                   StrCat("an expression already joins the conditions; take one of the "
                          "two out: key=",
                          kind, "_cond_op"));
  }
  ASSIGN_OR_RETURN(group.formula, ReadFormula(formula, names));
  return absl::OkStatus();
}

}  // namespace

absl::Status ReadConditionGroups(KeyReader& keys, ProcessingItem& item) {
  RETURN_IF_ERROR(ReadGroup(keys, "rule", item.rule_conditions));
  RETURN_IF_ERROR(ReadGroup(keys, "detection_item", item.item_conditions));
  return ReadGroup(keys, "field_name", item.field_conditions);
}

}  // namespace weir::sigma
