#include "jobs/sigma/correlation/correlation_set.h"

#include <algorithm>
#include <utility>

#include "jobs/sigma/correlation/correlation_measures.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

constexpr uint64_t kHashSeed = 14695981039346656037ULL;  // FNV-1a.
constexpr uint64_t kHashPrime = 1099511628211ULL;

bool HasTooManyRules(const CorrelationRule& rule) {
  return rule.type == CorrelationType::kTemporalOrdered && rule.condition.expression.has_value() &&
         rule.rules.size() > kMaxOrderedRules;
}

}  // namespace

uint64_t DefinitionNumber(std::string_view text, std::string_view id) {
  uint64_t hash = kHashSeed;
  const auto add = [&](std::string_view part) {
    for (const char c : part) hash = (hash ^ static_cast<unsigned char>(c)) * kHashPrime;
    hash = (hash ^ 0x1fU) * kHashPrime;
  };
  add(text);
  add(id);
  return hash;
}

CorrelationSet::CorrelationSet(std::vector<CorrelationDefinition> correlations,
                               const std::vector<std::shared_ptr<const Rule>>& rules,
                               uint32_t num_levels, std::vector<Problem>* problems) {
  std::vector<CorrelationRule> unresolved;
  std::vector<std::string> ids;
  std::map<std::string, uint64_t> definitions;
  for (CorrelationDefinition& one : correlations) {
    ids.push_back(one.rule.id);
    definitions[one.rule.id] = one.definition;
    unresolved.push_back(std::move(one.rule));
  }
  ResolvedCorrelations resolved = ResolveCorrelations(std::move(unresolved), rules);
  for (ResolvedCorrelations::Failure& failure : resolved.failures) {
    if (problems != nullptr) problems->push_back({ids[failure.index], std::move(failure.status)});
  }
  // Each stands behind those that it names.
  for (const auto& rule : resolved.correlations) {
    Add(rule, definitions[rule->id], num_levels, problems);
  }
  // What nothing reads after all is not silenced.
  for (std::string& id : resolved.silent_rules) {
    if (!ReadersOf(id).empty()) silent_.insert(std::move(id));
  }
}

void CorrelationSet::Add(const std::shared_ptr<const CorrelationRule>& rule, uint64_t definition,
                         uint32_t num_levels, std::vector<Problem>* problems) {
  const auto refuse = [&](const std::string& reason) {
    if (problems == nullptr) return;
    problems->push_back(
        {rule->id, absl::InvalidArgumentError(StrCat(reason, " correlation=", rule->id))});
  };
  if (HasTooManyRules(*rule)) {
    return refuse(StrCat("a boolean condition of temporal_ordered names at most ", kMaxOrderedRules,
                         " rules:"));
  }
  uint32_t level = 0;
  for (const CorrelationReference& reference : rule->rules) {
    if (!reference.is_correlation) continue;
    const Entry* const inner = Find(reference.id);
    if (inner == nullptr) {
      return refuse(
          StrCat("the correlation named cannot be used itself: reference=", reference.reference));
    }
    level = std::max(level, inner->level + 1);
  }
  if (level >= num_levels) {
    return refuse(
        StrCat("correlations of correlations go deeper than the job has operators for; "
               "raise CORRELATION_LEVELS: needed=",
               level + 1));
  }
  auto entry = std::make_unique<const Entry>(Entry{rule, definition, level});
  for (uint32_t i = 0; i < rule->rules.size(); ++i) {
    readers_[rule->rules[i].id].push_back({entry.get(), i});
  }
  entries_[rule->id] = std::move(entry);
}

const CorrelationSet::Entry* CorrelationSet::Find(std::string_view id) const {
  const auto found = entries_.find(id);
  return found == entries_.end() ? nullptr : found->second.get();
}

const std::vector<CorrelationSet::Reader>& CorrelationSet::ReadersOf(std::string_view id) const {
  static const std::vector<Reader> none;
  const auto found = readers_.find(id);
  return found == readers_.end() ? none : found->second;
}

uint32_t CorrelationSet::num_levels() const {
  uint32_t levels = 0;
  for (const auto& [id, entry] : entries_) levels = std::max(levels, entry->level + 1);
  return levels;
}

}  // namespace weir::sigma
