#include "jobs/sigma/rule_set.h"

#include <set>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

/// Begins the ids of filters, which stand among those of rules; no rule's id may.
constexpr std::string_view kFilterPrefix = "\x01";

RuleProblem ProblemOf(std::string rule_id, const std::string& source, const absl::Status& status) {
  return {std::move(rule_id), source,
          std::string(status.message().data(), status.message().size())};
}

}  // namespace

RuleSet::RuleSet(RuleSetOptions options) : options_(std::move(options)) {}

RuleSet::Entry RuleSet::MakeEntry(std::shared_ptr<const Rule> rule) const {
  Entry entry;
  entry.mapped = mapping_.empty() ? rule : std::make_shared<const Rule>(MapFields(*rule, mapping_));
  entry.written = std::move(rule);
  return entry;
}

RuleSet::Entries RuleSet::ParseAll(const std::string& key, const StoredRule& stored,
                                   std::vector<RuleProblem>* problems) const {
  RuleOptions options;
  options.id = stored.id;
  options.title = stored.title;
  options.level = stored.level;
  options.techniques = stored.techniques;
  options.pipeline = options_.pipeline;
  std::vector<absl::StatusOr<Rule>> parsed;
  if (stored.id.has_value()) {
    parsed.push_back(ParseRule(stored.text, options));
  } else {
    parsed = ParseRules(stored.text, options);
  }
  Entries entries;
  std::set<std::string> ids;
  for (absl::StatusOr<Rule>& rule : parsed) {
    if (!rule.ok()) {
      problems->push_back(ProblemOf(stored.id.value_or(""), stored.source, rule.status()));
      continue;
    }
    const auto owner = owners_.find(rule->id);
    if (!ids.insert(rule->id).second || (owner != owners_.end() && owner->second != key)) {
      problems->push_back({rule->id, stored.source, "another rule has this id already"});
      continue;
    }
    if (IsFilter(*rule)) {
      problems->push_back({rule->id, stored.source, "a rule's id begins with a control character"});
      continue;
    }
    entries.push_back(MakeEntry(std::make_shared<const Rule>(*std::move(rule))));
  }
  return entries;
}

bool RuleSet::Set(const std::string& key, const StoredRule& rule,
                  std::vector<RuleProblem>* problems) {
  const auto present = stored_.find(key);
  if (present != stored_.end() && present->second.SameAs(rule)) return true;
  Entries entries = ParseAll(key, rule, problems);
  if (entries.empty()) return false;
  Remove(key);
  for (const Entry& entry : entries) owners_[entry.written->id] = key;
  rules_[key] = std::move(entries);
  stored_[key] = rule;
  changed_ = true;
  return true;
}

void RuleSet::Remove(const std::string& key) {
  const auto found = rules_.find(key);
  if (found == rules_.end()) return;
  for (const Entry& entry : found->second) owners_.erase(entry.written->id);
  rules_.erase(found);
  stored_.erase(key);
  changed_ = true;
}

bool RuleSet::SetFilter(const std::string& id, const StoredFilter& filter,
                        std::vector<RuleProblem>* problems) {
  RemoveFilter(id);
  if (StripWhitespace(filter.body).empty()) {
    problems->push_back({"", filter.source, "the filter has no body, so it excludes nothing"});
    return false;
  }
  RuleOptions options;
  options.id = StrCat(kFilterPrefix, id);
  options.title = id;
  options.pipeline = options_.pipeline;
  absl::StatusOr<Rule> rule = ParseRule(filter.body, options);
  if (!rule.ok()) {
    problems->push_back(ProblemOf("", filter.source, rule.status()));
    return false;
  }
  filters_[id] = MakeEntry(std::make_shared<const Rule>(*std::move(rule)));
  changed_ = true;
  return true;
}

void RuleSet::RemoveFilter(const std::string& id) {
  if (filters_.erase(id) > 0) changed_ = true;
}

bool RuleSet::IsFilter(const Rule& rule) { return rule.id.starts_with(kFilterPrefix); }

void RuleSet::SetMapping(FieldMapping mapping) {
  if (mapping == mapping_) return;
  mapping_ = std::move(mapping);
  for (auto& [key, entries] : rules_) {
    for (Entry& entry : entries) entry = MakeEntry(std::move(entry.written));
  }
  for (auto& [id, entry] : filters_) entry = MakeEntry(std::move(entry.written));
  changed_ = true;
}

std::shared_ptr<const CompiledRules> RuleSet::Compile() {
  std::vector<std::shared_ptr<const Rule>> all;
  for (const auto& [key, entries] : rules_) {
    for (const Entry& entry : entries) all.push_back(entry.mapped);
  }
  for (const auto& [id, entry] : filters_) all.push_back(entry.mapped);
  // Ids are unique here, so nothing is left out.
  CompileOptions options;
  if (options_.pipeline != nullptr) options.mapping = &options_.pipeline->event_mapping();
  options.route_by_log_source = options_.route_by_log_source;
  compiled_ = CompileRules(std::move(all), compiled_.get(), options).rules;
  ++num_compilations_;
  changed_ = false;
  return compiled_;
}

}  // namespace weir::sigma
