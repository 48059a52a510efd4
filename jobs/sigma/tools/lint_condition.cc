#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "jobs/sigma/engine/compiled_rules.h"
#include "jobs/sigma/engine/explanation.h"
#include "jobs/sigma/engine/predicate_cost.h"
#include "jobs/sigma/tools/lint_internal.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

using Kind = Expression::Kind;

// What is known of a test: true, false, or nothing.
using Assignment = std::map<std::string, bool>;

bool IsLiteralTest(const Predicate& predicate) {
  return predicate.test == Test::kEquals || predicate.test == Test::kContains ||
         predicate.test == Test::kStartsWith || predicate.test == Test::kEndsWith;
}

// Returns whether every value that passes `cause` passes `effect` too.
bool Implies(const Predicate& cause, const Predicate& effect) {
  if (cause.field != effect.field) return false;
  if (effect.test == Test::kExists) return cause.test != Test::kNull;
  if (!IsLiteralTest(cause) || !IsLiteralTest(effect) || cause.cased != effect.cased) return false;
  const std::string_view text = cause.literal;
  switch (effect.test) {
    case Test::kEquals:
      return cause.test == Test::kEquals && text == effect.literal;
    case Test::kContains:
      return text.find(effect.literal) != text.npos;
    case Test::kStartsWith:
      return (cause.test == Test::kEquals || cause.test == Test::kStartsWith) &&
             text.starts_with(effect.literal);
    default:
      return (cause.test == Test::kEquals || cause.test == Test::kEndsWith) &&
             text.ends_with(effect.literal);
  }
}

// Returns why one value cannot pass both tests, or nothing if it may.
bool Excludes(const Predicate& a, const Predicate& b) {
  if (a.field != b.field || a.IsKeyword() || a.cased != b.cased) return false;
  if (!IsLiteralTest(a) || !IsLiteralTest(b)) return false;
  if (a.test == Test::kEquals && b.test == Test::kEquals) return a.literal != b.literal;
  if (a.test != Test::kEquals && b.test != Test::kEquals) return false;
  const Predicate& whole = a.test == Test::kEquals ? a : b;
  const Predicate& part = a.test == Test::kEquals ? b : a;
  return !PassesRelation(part.test, whole.literal, part.literal);
}

/// Reasons about a condition: what must be so for it to hold, and whether that can be.
class ConditionLinter {
 public:
  ConditionLinter(const Rule& rule, int line, const AddFinding& add)
      : rule_(rule), line_(line), add_(add) {
    Collect(rule.condition);
  }

  void Run() {
    if (!CheckNever()) CheckContradictions();
    CheckAlways();
    CheckCost();
  }

 private:
  void Collect(const Expression& node) {
    if (node.kind == Kind::kTest) tests_.try_emplace(node.predicate->Key(), node.predicate.get());
    for (const Expression& child : node.children) Collect(child);
  }

  // Adds the tests that must be `truth` for `node` to be `holds`.
  static std::set<std::pair<std::string, bool>> Required(const Expression& node, bool holds) {
    std::set<std::pair<std::string, bool>> required;
    if (node.kind == Kind::kTest) return {{node.predicate->Key(), holds}};
    if (node.kind == Kind::kNot) return Required(node.children.front(), !holds);
    const bool at_least_all = node.kind == Kind::kAtLeast && node.count == node.children.size();
    const bool every = node.kind == Kind::kAnd || at_least_all ? holds
                       : node.kind == Kind::kOr                ? !holds
                                                               : false;
    if (!every && node.children.size() != 1) {
      if (node.kind == Kind::kAtLeast) return {};
      // One of the children decides: what all of them require is required.
      required = Required(node.children.front(), holds);
      for (const Expression& child : node.children) {
        const auto other = Required(child, holds);
        std::erase_if(required, [&](const auto& one) { return !other.contains(one); });
      }
      return required;
    }
    for (const Expression& child : node.children) required.merge(Required(child, holds));
    return required;
  }

  static std::optional<bool> Evaluate(const Expression& node, const Assignment& known) {
    if (node.kind == Kind::kTest) {
      const auto found = known.find(node.predicate->Key());
      return found == known.end() ? std::nullopt : std::optional<bool>(found->second);
    }
    size_t holding = 0;
    size_t failing = 0;
    for (const Expression& child : node.children) {
      const std::optional<bool> holds = Evaluate(child, known);
      if (holds) ++(*holds ? holding : failing);
    }
    const size_t all = node.children.size();
    const auto threshold = [&](size_t needed) -> std::optional<bool> {
      if (holding >= needed) return true;
      if (all - failing < needed) return false;
      return std::nullopt;
    };
    switch (node.kind) {
      case Kind::kAnd:
        return threshold(all);
      case Kind::kOr:
        return threshold(1);
      case Kind::kAtLeast:
        return threshold(node.count);
      default: {
        const std::optional<bool> operand = threshold(1);
        return operand ? std::optional<bool>(!*operand) : std::nullopt;
      }
    }
  }

  // Extends what is known by what it implies; returns the two tests of a conflict, if there is one.
  std::optional<std::pair<std::string, std::string>> Propagate(Assignment* known) const {
    const Assignment given = *known;
    for (const auto& [cause_key, truth] : given) {
      if (!truth) continue;
      const Predicate& cause = *tests_.at(cause_key);
      for (const auto& [key, test] : tests_) {
        if (key == cause_key || !Implies(cause, *test)) continue;
        const auto [entry, added] = known->try_emplace(key, true);
        if (!added && !entry->second) return std::pair(cause_key, key);
      }
    }
    return std::nullopt;
  }

  bool CheckNever() {
    for (const auto& [key, truth] : Required(rule_.condition, true)) {
      const auto [entry, added] = required_.try_emplace(key, truth);
      if (!added && entry->second != truth) {
        add_(Severity::kError, "never", line_,
             StrCat("the rule never matches: the condition wants a test to hold and not to hold: ",
                    DescribeTest(*tests_.at(key))));
        return true;
      }
    }
    if (const auto conflict = Propagate(&required_)) {
      add_(Severity::kError, "never", line_,
           StrCat("the rule never matches: what it requires is what it excludes: ",
                  DescribeTest(*tests_.at(conflict->first)), " and not ",
                  DescribeTest(*tests_.at(conflict->second))));
      return true;
    }
    if (Evaluate(rule_.condition, required_) != std::optional<bool>(false)) return false;
    add_(Severity::kError, "never", line_, "the rule never matches: its parts exclude each other");
    return true;
  }

  void CheckContradictions() const {
    std::vector<const Predicate*> held;
    for (const auto& [key, truth] : required_) {
      if (truth) held.push_back(tests_.at(key));
    }
    for (size_t i = 0; i < held.size(); ++i) {
      for (size_t j = i + 1; j < held.size(); ++j) {
        if (!Excludes(*held[i], *held[j])) continue;
        add_(Severity::kWarning, "contradiction", line_,
             StrCat("no single value fulfils both tests, only a list of values can: ",
                    DescribeTest(*held[i]), " and ", DescribeTest(*held[j])));
        return;
      }
    }
  }

  // An event that has nothing the rule names: no test holds but those for absence.
  void CheckAlways() const {
    Assignment nothing;
    for (const auto& [key, test] : tests_) nothing[key] = test->test == Test::kNull;
    if (Evaluate(rule_.condition, nothing) != std::optional<bool>(true)) return;
    add_(Severity::kWarning, "always", line_,
         "the rule matches every event that has none of its fields; name what must be there");
  }

  void CheckCost() const {
    for (const auto& [key, test] : tests_) {
      if (test->test != Test::kRegex && test->test != Test::kGlob) continue;
      if (CostOf(*test) != PredicateCost::kEveryValue) continue;
      add_(Severity::kInfo, "slow", line_,
           StrCat(test->test == Test::kRegex ? "the expression has no text that each match contains"
                                             : "the pattern has no text between its wildcards",
                  test->IsKeyword() ? ", so it is tried on every text of an event: "
                                    : ", so it is tried on every value of its field: ",
                  DescribeTest(*test)));
    }
    const CompileResult compiled = CompileRules({std::make_shared<const Rule>(rule_)});
    if (compiled.rules->unindexed_rule_count() == 0) return;
    add_(Severity::kWarning, "slow", line_,
         "nothing in the condition singles events out, so the rule is tried on every event of its "
         "log source; add a test for a whole value, a beginning, an end or a part");
  }

  const Rule& rule_;
  const int line_;
  const AddFinding& add_;
  std::map<std::string, const Predicate*> tests_;  // By key.
  Assignment required_;
};

void AppendIdentity(const Expression& node, std::string* text) {
  text->push_back(static_cast<char>('0' + static_cast<int>(node.kind)));
  if (node.kind == Kind::kTest) {
    StrAppend(text, node.predicate->Key(), "\n");
    return;
  }
  StrAppend(text, node.count, "(");
  for (const Expression& child : node.children) AppendIdentity(child, text);
  text->push_back(')');
}

}  // namespace

void LintCondition(const Rule& rule, int line, const AddFinding& add) {
  ConditionLinter(rule, line, add).Run();
}

std::string ConditionIdentity(const Expression& condition) {
  std::string text;
  AppendIdentity(condition, &text);
  return text;
}

}  // namespace weir::sigma
