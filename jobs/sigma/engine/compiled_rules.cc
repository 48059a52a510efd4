#include "jobs/sigma/engine/compiled_rules.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "jobs/sigma/engine/internal/predicate_table.h"
#include "jobs/sigma/engine/internal/program.h"
#include "jobs/sigma/engine/internal/witness.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

// Builds the parts of a Program in order: rules and their nodes, witnesses, indexes.
class ProgramBuilder {
 public:
  ProgramBuilder(const Program* previous, const CompileOptions& options)
      : previous_(previous), options_(options), table_(*program_, options.mapping) {}

  void AddRule(std::shared_ptr<const Rule> rule) {
    CompiledRule compiled;
    compiled.root = AddNode(rule->condition);
    compiled.log_source = InternLogSource(rule->log_source);
    compiled.rule = std::move(rule);
    program_->rules.push_back(std::move(compiled));
  }

  std::unique_ptr<const Program> Finish() {
    AddSourceTests();
    ChooseWitnesses();
    table_.BuildIndexes(previous_);
    return std::move(program_);
  }

 private:
  using Kind = Expression::Kind;

  // The operands of one `and` or `or`: those of nested ones of the same kind are pulled up.
  struct Operands {
    std::vector<uint32_t> tests;
    std::vector<uint32_t> nodes;
  };

  uint32_t InternTest(const Expression& expression) {
    const uint32_t id = table_.Intern(expression.predicate);
    table_.CountUse(id);
    return id;
  }

  void Collect(const Expression& expression, Kind kind, Operands& operands) {
    for (const Expression& child : expression.children) {
      if (child.kind == kind) {
        Collect(child, kind, operands);
      } else if (child.kind == Kind::kTest) {
        operands.tests.push_back(InternTest(child));
      } else {
        operands.nodes.push_back(AddNode(child));
      }
    }
  }

  uint32_t Add(Node::Kind kind, IdRange range, uint32_t count = 0) {
    program_->nodes.push_back({kind, count, range});
    return static_cast<uint32_t>(program_->nodes.size() - 1);
  }

  IdRange AddOperands(const std::vector<uint32_t>& ids) {
    const auto begin = static_cast<uint32_t>(program_->operands.size());
    program_->operands.insert(program_->operands.end(), ids.begin(), ids.end());
    return {begin, static_cast<uint32_t>(program_->operands.size())};
  }

  [[nodiscard]] uint32_t Marked(uint32_t predicate) const {
    return program_->predicates[predicate].indexed ? predicate : predicate | kTestedWhenAsked;
  }

  uint32_t AddNode(const Expression& expression) {
    switch (expression.kind) {
      case Kind::kTest: {
        const uint32_t id = InternTest(expression);
        return Add(Node::Kind::kTest, {Marked(id), 0});
      }
      case Kind::kNot: {
        const uint32_t child = AddNode(expression.children.front());
        return Add(Node::Kind::kNot, {child, child + 1});
      }
      case Kind::kAtLeast: {
        std::vector<uint32_t> children;
        for (const Expression& child : expression.children) children.push_back(AddNode(child));
        return Add(Node::Kind::kAtLeast, AddOperands(children), expression.count);
      }
      case Kind::kAnd:
      case Kind::kOr:
        break;
    }
    return AddJunction(expression);
  }

  uint32_t AddJunction(const Expression& expression) {
    const bool is_and = expression.kind == Kind::kAnd;
    Operands operands;
    Collect(expression, expression.kind, operands);
    std::vector<uint32_t>& tests = operands.tests;
    std::sort(tests.begin(), tests.end());
    tests.erase(std::unique(tests.begin(), tests.end()), tests.end());
    for (uint32_t& test : tests) test = Marked(test);
    if (!tests.empty()) {
      const uint32_t node =
          Add(is_and ? Node::Kind::kAllOf : Node::Kind::kAnyOf, AddOperands(tests));
      if (operands.nodes.empty()) return node;
      operands.nodes.insert(operands.nodes.begin(), node);
    }
    return Add(is_and ? Node::Kind::kAnd : Node::Kind::kOr, AddOperands(operands.nodes));
  }

  uint32_t InternLogSource(const LogSource& source) {
    std::vector<LogSource>& known = program_->log_sources;
    const auto found = std::find(known.begin(), known.end(), source);
    if (found != known.end()) return static_cast<uint32_t>(found - known.begin());
    known.push_back(source);
    return static_cast<uint32_t>(known.size() - 1);
  }

  void AddSourceTests() {
    program_->tests_of_source.resize(program_->log_sources.size());
    if (options_.mapping == nullptr || !options_.route_by_log_source) return;
    for (const LogSourceTest& test : options_.mapping->log_sources) {
      const auto index = static_cast<uint32_t>(program_->source_tests.size());
      program_->source_tests.push_back({test.log_source, AddNode(test.condition)});
      for (size_t i = 0; i < program_->log_sources.size(); ++i) {
        const LogSource& source = program_->log_sources[i];
        // A rule without a log source is for every event, also for those that no test knows.
        if (source != LogSource{} && source.Accepts(test.log_source)) {
          program_->tests_of_source[i].push_back(index);
        }
      }
    }
  }

  using Wakes = std::vector<std::pair<uint32_t, uint32_t>>;  // Predicate, rule or source test.

  // Adds what wakes `number`, whose formula is at `root`; appends it to `always` if nothing does.
  void AddWakes(const WitnessFinder& finder, uint32_t number, uint32_t root, Wakes& wakes,
                std::vector<uint32_t>& always, uint32_t index) {
    const std::optional<Witness> witness = finder.Find(root);
    if (!witness) {
      always.push_back(index);
      return;
    }
    for (const uint32_t predicate : witness->predicates) wakes.emplace_back(predicate, number);
  }

  // Puts tests that are already decided before those that cost something; among them, those first
  // that are likely to decide the node.
  void OrderTests(const WitnessFinder& finder) {
    std::vector<std::pair<double, uint32_t>> ranked;
    for (const Node& node : program_->nodes) {
      const bool all = node.kind == Node::Kind::kAllOf;
      if (!all && node.kind != Node::Kind::kAnyOf) continue;
      ranked.clear();
      for (uint32_t i = node.range.begin; i < node.range.end; ++i) {
        const uint32_t test = program_->operands[i];
        const double asked = (test & kTestedWhenAsked) != 0 ? 1000 : 0;
        const double share = asked > 0 ? 0 : finder.Cost(test);
        ranked.emplace_back(asked + (all ? share : -share), test);
      }
      std::sort(ranked.begin(), ranked.end());
      for (size_t i = 0; i < ranked.size(); ++i) {
        program_->operands[node.range.begin + i] = ranked[i].second;
      }
    }
  }

  void ChooseWitnesses() {
    const WitnessFinder finder(*program_, table_);
    OrderTests(finder);
    const auto num_rules = static_cast<uint32_t>(program_->rules.size());
    Wakes wakes;
    for (uint32_t rule = 0; rule < num_rules; ++rule) {
      AddWakes(finder, rule, program_->rules[rule].root, wakes, program_->always, rule);
    }
    for (uint32_t test = 0; test < program_->source_tests.size(); ++test) {
      AddWakes(finder, num_rules + test, program_->source_tests[test].root, wakes,
               program_->always_tested_sources, test);
    }
    std::sort(wakes.begin(), wakes.end());
    program_->wakes.resize(program_->predicates.size());
    for (size_t i = 0; i < wakes.size(); ++i) {
      IdRange& range = program_->wakes[wakes[i].first];
      if (range.empty()) range.begin = static_cast<uint32_t>(i);
      range.end = static_cast<uint32_t>(i + 1);
      program_->woken_rules.push_back(wakes[i].second);
    }
  }

  const Program* previous_;
  const CompileOptions& options_;
  std::unique_ptr<Program> program_ = std::make_unique<Program>();
  PredicateTable table_;
};

}  // namespace

CompiledRules::CompiledRules(std::unique_ptr<const Program> program)
    : program_(std::move(program)) {}
CompiledRules::~CompiledRules() = default;

size_t CompiledRules::rule_count() const { return program_->rules.size(); }
size_t CompiledRules::predicate_count() const { return program_->predicates.size(); }
size_t CompiledRules::unindexed_rule_count() const { return program_->always.size(); }

std::vector<std::shared_ptr<const Rule>> CompiledRules::rules() const {
  std::vector<std::shared_ptr<const Rule>> rules;
  for (const CompiledRule& rule : program_->rules) rules.push_back(rule.rule);
  return rules;
}

CompileResult CompileRules(std::vector<std::shared_ptr<const Rule>> rules,
                           const CompiledRules* previous, const CompileOptions& options) {
  CompileResult result;
  std::stable_sort(rules.begin(), rules.end(),
                   [](const auto& a, const auto& b) { return a->id < b->id; });
  ProgramBuilder builder(previous != nullptr ? &previous->program() : nullptr, options);
  const Rule* last = nullptr;
  for (std::shared_ptr<const Rule>& rule : rules) {
    if (last != nullptr && last->id == rule->id) {
      result.errors.push_back(
          {"", rule->id,
           absl::AlreadyExistsError(
               StrCat("two rules have one id; give one of them another, the first is used: rule=",
                      rule->id, " first=", last->title, " second=", rule->title))});
      continue;
    }
    last = rule.get();
    builder.AddRule(std::move(rule));
  }
  result.rules = std::make_shared<const CompiledRules>(builder.Finish());
  return result;
}

}  // namespace weir::sigma
