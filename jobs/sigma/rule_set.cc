#include "jobs/sigma/rule_set.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "jobs/sigma/engine/rule_files.h"
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
  options.filters = sigma_filters_;
  std::vector<absl::StatusOr<RuleFileDocument>> documents = ReadRuleText(stored.text, options);
  if (stored.id.has_value() && documents.size() != 1) {
    problems->push_back(
        {*stored.id, stored.source,
         StrCat("the text must hold one rule; send each document on its own: documents=",
                documents.size())});
    return {};
  }
  Entries entries;
  const auto may_have = [&](const std::string& id) {
    const auto owner = owners_.find(id);
    const bool is_taken =
        std::find(entries.ids.begin(), entries.ids.end(), id) != entries.ids.end() ||
        (owner != owners_.end() && owner->second != key);
    if (!is_taken && !id.starts_with(kFilterPrefix)) return true;
    problems->push_back({id, stored.source,
                         is_taken ? "another rule has this id already"
                                  : "a rule's id begins with a control character"});
    return false;
  };
  for (absl::StatusOr<RuleFileDocument>& document : documents) {
    if (!document.ok()) {
      problems->push_back(ProblemOf(stored.id.value_or(""), stored.source, document.status()));
    } else if (auto* const rule = std::get_if<Rule>(&*document)) {
      if (!may_have(rule->id)) continue;
      entries.ids.push_back(rule->id);
      entries.rules.push_back(MakeEntry(std::make_shared<const Rule>(std::move(*rule))));
    } else if (auto* const correlation = std::get_if<CorrelationRule>(&*document)) {
      if (!may_have(correlation->id)) continue;
      entries.ids.push_back(correlation->id);
      const uint64_t number = DefinitionNumber(stored.text, correlation->id);
      entries.correlations.push_back({std::move(*correlation), number});
    } else {
      entries.filters.push_back(
          std::make_shared<const RuleFilter>(std::get<RuleFilter>(*std::move(document))));
    }
  }
  return entries;
}

bool RuleSet::Set(const std::string& key, const StoredRule& rule,
                  std::vector<RuleProblem>* problems) {
  const auto present = stored_.find(key);
  if (present != stored_.end() && present->second.SameAs(rule)) return true;
  Entries entries = ParseAll(key, rule, problems);
  if (entries.empty()) return false;
  const bool has_filters = !entries.filters.empty();
  Remove(key);
  Put(key, std::move(entries));
  stored_[key] = rule;
  changed_ = true;
  if (has_filters) ApplySigmaFilters();
  return true;
}

void RuleSet::Put(const std::string& key, Entries entries) {
  for (const std::string& id : entries.ids) owners_[id] = key;
  rules_[key] = std::move(entries);
}

void RuleSet::Remove(const std::string& key) {
  const auto found = rules_.find(key);
  if (found == rules_.end()) return;
  for (const std::string& id : found->second.ids) owners_.erase(id);
  const bool has_filters = !found->second.filters.empty();
  rules_.erase(found);
  stored_.erase(key);
  changed_ = true;
  if (has_filters) ApplySigmaFilters();
}

// Filters change how rules are read, so all are read anew. What is wrong with them was told before.
void RuleSet::ApplySigmaFilters() {
  sigma_filters_.clear();
  for (const auto& [key, entries] : rules_) {
    sigma_filters_.insert(sigma_filters_.end(), entries.filters.begin(), entries.filters.end());
  }
  std::vector<RuleProblem> told;
  for (const auto& [key, stored] : stored_) {
    Entries entries = ParseAll(key, stored, &told);
    if (!entries.empty()) Put(key, std::move(entries));
  }
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
    for (Entry& entry : entries.rules) entry = MakeEntry(std::move(entry.written));
  }
  for (auto& [id, entry] : filters_) entry = MakeEntry(std::move(entry.written));
  changed_ = true;
}

void RuleSet::ResolveCorrelations(const std::vector<std::shared_ptr<const Rule>>& rules) {
  std::vector<CorrelationDefinition> definitions;
  std::vector<CorrelationSet::Problem> failures;
  for (const auto& [key, entries] : rules_) {
    for (const CorrelationDefinition& written : entries.correlations) {
      CorrelationDefinition one = written;
      if (options_.pipeline != nullptr) {
        const absl::Status status = options_.pipeline->Apply(one.rule, rules);
        if (!status.ok()) {
          failures.push_back({written.rule.id, status});
          continue;
        }
      }
      definitions.push_back(std::move(one));
    }
  }
  correlations_ =
      CorrelationSet(std::move(definitions), rules, options_.correlation_levels, &failures);
  std::set<std::string> now;
  for (const CorrelationSet::Problem& failure : failures) {
    const auto owner = owners_.find(failure.id);
    const auto stored = owner == owners_.end() ? stored_.end() : stored_.find(owner->second);
    const bool is_known = stored != stored_.end();
    // Once for each text: what is said of it may change with every other rule.
    const std::string name =
        StrCat(failure.id, "|", is_known ? DefinitionNumber(stored->second.text, failure.id) : 0);
    if (!told_.contains(name)) {
      problems_.push_back(
          ProblemOf(failure.id, is_known ? stored->second.source : "", failure.status));
    }
    now.insert(name);
  }
  told_ = std::move(now);
}

std::vector<RuleProblem> RuleSet::TakeProblems() { return std::exchange(problems_, {}); }

std::shared_ptr<const CompiledRules> RuleSet::Compile() {
  std::vector<std::shared_ptr<const Rule>> all;
  for (const auto& [key, entries] : rules_) {
    for (const Entry& entry : entries.rules) all.push_back(entry.mapped);
  }
  ResolveCorrelations(all);
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
