#include "jobs/sigma/rule_set.h"

#include <sys/resource.h>

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

// Matching goes first where there is not enough of the machine for both.
constexpr int kCompilerNiceness = 10;

CompileOptions CompileOptionsOf(const RuleSetOptions& options) {
  CompileOptions compile;
  if (options.pipeline != nullptr) compile.mapping = &options.pipeline->event_mapping();
  compile.route_by_log_source = options.route_by_log_source;
  return compile;
}

}  // namespace

RuleSet::RuleSet(RuleSetOptions options)
    : options_(std::move(options)), layers_(CompileOptionsOf(options_), [this](IoWork work) {
        return options_.background != nullptr ? options_.background(std::move(work))
                                              : CompileInBackground(std::move(work));
      }) {}

bool RuleSet::CompileInBackground(IoWork work) {
  if (compiler_ == nullptr) {
    compiler_ = std::make_unique<IoPool>("sigma-rules", 1);
    // Of the thread that asks, on Linux.
    compiler_->Post([] { (void)setpriority(PRIO_PROCESS, 0, kCompilerNiceness); });
  }
  return compiler_->Post(std::move(work));
}

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

// Takes the place of what lies under `key`.
void RuleSet::Put(const std::string& key, Entries entries) {
  for (const std::string& id : entries.ids) owners_[id] = key;
  Entries& present = rules_[key];
  TakeOut(present);
  for (const Entry& entry : entries.rules) layers_.Set(entry.mapped);
  num_correlations_ += entries.correlations.size();
  present = std::move(entries);
}

void RuleSet::TakeOut(const Entries& entries) {
  for (const Entry& entry : entries.rules) layers_.Remove(entry.mapped->id);
  num_correlations_ -= entries.correlations.size();
}

void RuleSet::Remove(const std::string& key) {
  const auto found = rules_.find(key);
  if (found == rules_.end()) return;
  for (const std::string& id : found->second.ids) owners_.erase(id);
  const bool has_filters = !found->second.filters.empty();
  TakeOut(found->second);
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
  Entry& entry = filters_[id];
  entry = MakeEntry(std::make_shared<const Rule>(*std::move(rule)));
  layers_.Set(entry.mapped);
  return true;
}

void RuleSet::RemoveFilter(const std::string& id) {
  if (filters_.erase(id) > 0) layers_.Remove(StrCat(kFilterPrefix, id));
}

bool RuleSet::IsFilter(const Rule& rule) { return rule.id.starts_with(kFilterPrefix); }

void RuleSet::SetMapping(FieldMapping mapping) {
  if (mapping == mapping_) return;
  mapping_ = std::move(mapping);
  const auto map = [this](Entry& entry) {
    entry = MakeEntry(std::move(entry.written));
    layers_.Set(entry.mapped);
  };
  for (auto& [key, entries] : rules_) {
    for (Entry& entry : entries.rules) map(entry);
  }
  for (auto& [id, entry] : filters_) map(entry);
  changed_ = true;
}

void RuleSet::ResolveCorrelations() {
  std::vector<std::shared_ptr<const Rule>> rules;
  if (num_correlations_ > 0) {
    for (const auto& [key, entries] : rules_) {
      for (const Entry& entry : entries.rules) rules.push_back(entry.mapped);
    }
  }
  std::vector<CorrelationDefinition> definitions;
  std::vector<CorrelationSet::Problem> failures;
  for (const auto& [key, entries] : rules_) {
    if (num_correlations_ == 0) break;
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

const RuleLayers& RuleSet::Compile() {
  // A base compiled in the background changes nothing about the rules.
  if (changed_) ResolveCorrelations();
  changed_ = false;
  ++num_compilations_;
  return layers_.Layers();
}

}  // namespace weir::sigma
