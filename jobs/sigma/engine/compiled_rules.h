#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "jobs/sigma/engine/event_mapping.h"
#include "jobs/sigma/engine/rule.h"

namespace weir::sigma {

struct Program;

/// Why one rule is not part of a set.
struct RuleError {
  std::string source;  ///< File or message key the rule came from; empty if unknown.
  std::string rule_id;
  absl::Status status;
};

/// An immutable set of rules, compiled together so that each distinct predicate is tested once an
/// event.
///
/// Lifecycle: made by CompileRules, then given to any number of Matchers. To change a rule, compile
/// a new set from the old rules and the new one, with this set as `previous`. Threads: may be
/// shared freely.
class CompiledRules {
 public:
  explicit CompiledRules(std::unique_ptr<const Program> program);
  ~CompiledRules();
  CompiledRules(const CompiledRules&) = delete;
  CompiledRules& operator=(const CompiledRules&) = delete;

  [[nodiscard]] size_t rule_count() const;
  [[nodiscard]] size_t predicate_count() const;
  /// Returns how many rules are tried on every event, for lack of a predicate that must hold.
  [[nodiscard]] size_t unindexed_rule_count() const;
  /// Returns the rules in order of their ids.
  [[nodiscard]] std::vector<std::shared_ptr<const Rule>> rules() const;

  [[nodiscard]] const Program& program() const { return *program_; }

 private:
  std::unique_ptr<const Program> program_;
};

/// What rules are compiled for.
struct CompileOptions {
  /// Where events hold fields, and how they show their log source; may be null.
  const EventMapping* mapping = nullptr;
  /// Whether a rule is tried only on events of its log source. An event that shows none, by the
  /// tests of `mapping`, meets all rules; a rule whose log source no test knows meets all events.
  /// False: log sources are ignored.
  bool route_by_log_source = true;
};

struct CompileResult {
  std::shared_ptr<const CompiledRules> rules;  ///< Never null.
  std::vector<RuleError> errors;  ///< Of rules left out: a second rule with an id already taken.
};

/// Compiles `rules`. Search structures of `previous` (may be null) that fit unchanged are shared,
/// so that a change of one rule rebuilds only the indexes of its fields.
[[nodiscard]] CompileResult CompileRules(std::vector<std::shared_ptr<const Rule>> rules,
                                         const CompiledRules* previous = nullptr,
                                         const CompileOptions& options = {});

}  // namespace weir::sigma
