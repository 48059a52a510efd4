#include "jobs/sigma/rule_set.h"

#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/strings.h"

namespace weir::sigma {

RuleSet::Rules RuleSet::ParseAll(const std::string& key, const StoredRule& stored,
                                 std::vector<RuleProblem>* problems) const {
  RuleOptions options;
  options.id = stored.id;
  options.title = stored.title;
  options.level = stored.level;
  options.techniques = stored.techniques;
  std::vector<absl::StatusOr<Rule>> parsed;
  if (stored.id.has_value()) {
    parsed.push_back(ParseRule(stored.text, options));
  } else {
    parsed = ParseRules(stored.text, options);
  }
  Rules rules;
  std::set<std::string> ids;
  for (absl::StatusOr<Rule>& rule : parsed) {
    if (!rule.ok()) {
      const auto message = rule.status().message();
      problems->push_back(
          {stored.id.value_or(""), stored.source, std::string(message.data(), message.size())});
      continue;
    }
    const auto owner = owners_.find(rule->id);
    if (!ids.insert(rule->id).second || (owner != owners_.end() && owner->second != key)) {
      problems->push_back({rule->id, stored.source, "another rule has this id already"});
      continue;
    }
    rules.push_back(std::make_shared<const Rule>(*std::move(rule)));
  }
  return rules;
}

bool RuleSet::Set(const std::string& key, const StoredRule& rule,
                  std::vector<RuleProblem>* problems) {
  Rules rules = ParseAll(key, rule, problems);
  if (rules.empty()) return false;
  Remove(key);
  for (const auto& one : rules) owners_[one->id] = key;
  rules_[key] = std::move(rules);
  changed_ = true;
  return true;
}

void RuleSet::Remove(const std::string& key) {
  const auto found = rules_.find(key);
  if (found == rules_.end()) return;
  for (const auto& rule : found->second) owners_.erase(rule->id);
  rules_.erase(found);
  changed_ = true;
}

std::shared_ptr<const CompiledRules> RuleSet::Compile() {
  Rules all;
  for (const auto& [key, rules] : rules_) all.insert(all.end(), rules.begin(), rules.end());
  // Ids are unique here, so nothing is left out.
  compiled_ = CompileRules(std::move(all), compiled_.get()).rules;
  changed_ = false;
  return compiled_;
}

}  // namespace weir::sigma
