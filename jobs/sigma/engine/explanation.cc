#include "jobs/sigma/engine/explanation.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "jobs/sigma/engine/internal/text_fold.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

std::string Shortened(std::string_view text) {
  if (text.size() <= Explanation::kMaxValueSize) return std::string(text);
  size_t end = Explanation::kMaxValueSize;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return StrCat(text.substr(0, end), "…");
}

std::string_view Verb(Test test) {
  switch (test) {
    case Test::kEquals:
      return "is";
    case Test::kContains:
      return "contains";
    case Test::kStartsWith:
      return "starts with";
    case Test::kEndsWith:
      return "ends with";
    case Test::kGlob:
      return "matches the pattern";
    case Test::kRegex:
      return "matches the regular expression";
    case Test::kCidr:
      return "lies in";
    case Test::kLess:
      return "is less than";
    case Test::kLessOrEqual:
      return "is at most";
    case Test::kGreater:
      return "is greater than";
    case Test::kGreaterOrEqual:
      return "is at least";
    case Test::kExists:
      return "exists";
    case Test::kNull:
      return "has no value";
    default:
      return "fulfils";
  }
}

std::string_view NameOf(TimePart part) {
  switch (part) {
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
    case TimePart::kNone:
      break;
  }
  return "time";
}

// The operand as its author wrote it, but for escapes and the wildcards that the verb says.
std::string OperandText(const Predicate& predicate) {
  switch (predicate.test) {
    case Test::kEquals:
    case Test::kContains:
    case Test::kStartsWith:
    case Test::kEndsWith:
      return Shortened(Pattern::Parse(predicate.notation).LiteralText());
    default:
      return Shortened(predicate.notation);
  }
}

// What a test asks, as the rest of a sentence that begins with the field.
std::string Clause(const Predicate& predicate) {
  if (predicate.test == Test::kExists || predicate.test == Test::kNull) {
    return std::string(Verb(predicate.test));
  }
  if (predicate.test == Test::kFieldRef) {
    return StrCat(Verb(predicate.relation), " the value of ", predicate.other_field);
  }
  if (predicate.test == Test::kTimePart) {
    return StrCat("has a ", NameOf(predicate.part), " that ", Verb(predicate.relation), " ",
                  predicate.number);
  }
  return StrCat(Verb(predicate.test), predicate.cased ? " (with case)" : "", " \"",
                OperandText(predicate), "\"");
}

std::string_view NameOf(const Predicate& predicate) {
  return predicate.IsKeyword() ? std::string_view("some text of the event")
                               : std::string_view(predicate.field);
}

class Explainer {
 public:
  explicit Explainer(const EventFields& event) : event_(event) {}

  Explanation Explain(const Expression& expression) const {
    Explanation result;
    result.kind = expression.kind;
    result.selection = expression.selection;
    result.count = expression.count;
    for (const Expression& child : expression.children) result.children.push_back(Explain(child));
    const auto holding = std::count_if(result.children.begin(), result.children.end(),
                                       [](const Explanation& child) { return child.holds; });
    const auto all = static_cast<std::ptrdiff_t>(result.children.size());
    switch (expression.kind) {
      case Expression::Kind::kTest:
        ExplainTest(expression.predicate, result);
        break;
      case Expression::Kind::kAnd:
        result.holds = holding == all;
        break;
      case Expression::Kind::kOr:
        result.holds = holding > 0;
        break;
      case Expression::Kind::kNot:
        result.holds = holding == 0;
        break;
      case Expression::Kind::kAtLeast:
        result.holds = holding >= static_cast<std::ptrdiff_t>(expression.count);
        break;
    }
    return result;
  }

 private:
  void ExplainTest(const std::shared_ptr<const Predicate>& predicate, Explanation& result) const {
    result.predicate = predicate;
    result.reason = DescribeTest(*predicate);
    if (predicate->IsKeyword()) return ExplainKeyword(*predicate, result);
    const std::optional<EventFields::Field> field = event_.Find(predicate->field);
    if (field) {
      for (const ScalarValue& value : field->values) {
        if (result.values.size() == Explanation::kMaxValues) break;
        result.values.push_back(Shortened(value.text));
      }
    }
    if (predicate->test == Test::kExists) {
      Hold(field.has_value(), "", predicate->field, result);
    } else if (predicate->test == Test::kNull) {
      Hold(!field || field->has_null || field->values.empty(), "", predicate->field, result);
    } else if (!field) {
      result.reason =
          StrCat(result.reason, ": the event has no such field", SimilarField(*predicate));
    } else {
      ExplainValues(*predicate, *field, result);
    }
  }

  static void Hold(bool holds, std::string_view hit, std::string_view field, Explanation& result) {
    result.holds = holds;
    if (!holds) return;
    result.hit = Shortened(hit);
    result.hit_field = field;
  }

  void ExplainKeyword(const Predicate& predicate, Explanation& result) const {
    for (const EventFields::NamedString& named : event_.strings()) {
      if (!PassesTest(predicate, named.value)) continue;
      result.values.push_back(Shortened(named.value.text));
      return Hold(true, named.value.text, named.field, result);
    }
  }

  void ExplainValues(const Predicate& predicate, const EventFields::Field& field,
                     Explanation& result) const {
    for (const ScalarValue& value : field.values) {
      if (Passes(predicate, value)) return Hold(true, value.text, predicate.field, result);
    }
    if (field.values.empty()) result.reason += ": it has no value";
    if (predicate.test == Test::kFieldRef && !event_.Find(predicate.other_field)) {
      result.reason += ": the event has no such field";
    }
  }

  bool Passes(const Predicate& predicate, const ScalarValue& value) const {
    if (predicate.test != Test::kFieldRef) return PassesTest(predicate, value);
    const std::optional<EventFields::Field> other = event_.Find(predicate.other_field);
    if (!other) return false;
    return std::any_of(other->values.begin(), other->values.end(), [&](const ScalarValue& operand) {
      return predicate.cased ? PassesRelation(predicate.relation, value.text, operand.text)
                             : PassesRelation(predicate.relation, value.folded, operand.folded);
    });
  }

  // Field names have case, and rules are written for names that a pipeline may have to give.
  std::string SimilarField(const Predicate& predicate) const {
    const std::string wanted = FoldCase(predicate.field);
    const std::vector<std::string_view> names = event_.Names();
    for (const std::string_view name : names) {
      const std::string folded = FoldCase(name);
      const bool is_last_part = folded.size() > wanted.size() && folded.ends_with(wanted) &&
                                folded[folded.size() - wanted.size() - 1] == '.';
      if (folded == wanted || is_last_part) return StrCat("; it has ", name);
    }
    const std::string_view nearest = NearestMatch(predicate.field, names);
    return nearest.empty() ? "" : StrCat("; it has ", nearest);
  }

  const EventFields& event_;
};

// Visits the tests that held, outside of negations.
template <class Visit>
void VisitHeld(const Explanation& node, std::string_view selection, const Visit& visit) {
  if (!node.holds || node.kind == Expression::Kind::kNot) return;
  if (!node.selection.empty()) selection = node.selection;
  visit(node, selection);
  for (const Explanation& child : node.children) VisitHeld(child, selection, visit);
}

}  // namespace

std::string DescribeTest(const Predicate& predicate) {
  return StrCat(NameOf(predicate), " ", Clause(predicate));
}

Explanation Explain(const Rule& rule, const EventFields& event) {
  return Explainer(event).Explain(rule.condition);
}

std::vector<LogSource> ShownLogSources(const EventFields& event, const EventMapping& mapping) {
  std::vector<LogSource> shown;
  for (const LogSourceTest& test : mapping.log_sources) {
    if (Explainer(event).Explain(test.condition).holds) shown.push_back(test.log_source);
  }
  return shown;
}

bool IsRouted(const LogSource& log_source, const std::vector<LogSource>& shown,
              const EventMapping& mapping) {
  if (shown.empty() || log_source == LogSource{}) return true;
  const bool known =
      std::any_of(mapping.log_sources.begin(), mapping.log_sources.end(),
                  [&](const LogSourceTest& test) { return log_source.Accepts(test.log_source); });
  return !known || std::any_of(shown.begin(), shown.end(),
                               [&](const LogSource& source) { return log_source.Accepts(source); });
}

std::vector<MatchedField> MatchedFields(const Explanation& explanation) {
  std::vector<MatchedField> fields;
  VisitHeld(explanation, "", [&](const Explanation& node, std::string_view selection) {
    if (node.kind != Expression::Kind::kTest) return;
    const bool known = std::any_of(fields.begin(), fields.end(), [&](const MatchedField& field) {
      return field.selection == selection && field.field == node.hit_field &&
             field.value == node.hit;
    });
    if (!known) fields.push_back({std::string(selection), node.hit_field, node.hit});
  });
  return fields;
}

std::vector<std::string> MatchedSelections(const Explanation& explanation) {
  std::vector<std::string> names;
  VisitHeld(explanation, "", [&](const Explanation&, std::string_view selection) {
    if (selection.empty() || std::find(names.begin(), names.end(), selection) != names.end())
      return;
    names.emplace_back(selection);
  });
  return names;
}

}  // namespace weir::sigma
