#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "jobs/sigma/engine/compiled_rules.h"
#include "jobs/sigma/engine/rule.h"
#include "jobs/sigma/rule_update.h"

namespace weir::sigma {

/// The rules in force, and their compiled form. Rules change one by one; compilation waits until
/// the next event needs it, so that many changes cost one.
///
/// Place: one per subtask of the matching operator. Threads: one at a time.
class RuleSet {
 public:
  /// Puts `rule` in the place of what lies under `key`. Appends to `*problems` what is wrong with
  /// it. Returns false, and changes nothing, if no rule of its text can be used: the version before
  /// stays in force.
  bool Set(const std::string& key, const StoredRule& rule, std::vector<RuleProblem>* problems);

  /// Removes what lies under `key`, if anything does.
  void Remove(const std::string& key);

  /// Whether a change awaits compilation.
  [[nodiscard]] bool changed() const { return changed_; }
  /// Compiles all rules, sharing with the set before what fits unchanged.
  [[nodiscard]] std::shared_ptr<const CompiledRules> Compile();

  /// How many rules are in force.
  [[nodiscard]] size_t size() const { return owners_.size(); }

 private:
  using Rules = std::vector<std::shared_ptr<const Rule>>;

  [[nodiscard]] Rules ParseAll(const std::string& key, const StoredRule& stored,
                               std::vector<RuleProblem>* problems) const;

  std::map<std::string, Rules> rules_;         // By key.
  std::map<std::string, std::string> owners_;  // Rule id to the key that it lies under.
  std::shared_ptr<const CompiledRules> compiled_;
  bool changed_ = true;
};

}  // namespace weir::sigma
