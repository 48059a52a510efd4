#include "jobs/sigma/engine/layered_rules.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "jobs/sigma/engine/internal/program.h"

namespace weir::sigma {
namespace {

// Where so few rules are, compiling all of them costs next to nothing.
constexpr size_t kFewRules = 64;
// Of the rules, one of so many may have changed; beyond, all are compiled.
constexpr size_t kMostChangedShare = 4;
// Compiling a rule costs as much as so many events do with a second set: about 150 µs to 2 µs.
constexpr uint64_t kEventsPerRule = 64;

// The position of the rule `id` in a set.
std::optional<size_t> Find(const CompiledRules& rules, const std::string& id) {
  const std::vector<CompiledRule>& all = rules.program().rules;
  const auto found = std::lower_bound(
      all.begin(), all.end(), id,
      [](const CompiledRule& rule, const std::string& wanted) { return rule.rule->id < wanted; });
  if (found == all.end() || found->rule->id != id) return std::nullopt;
  return static_cast<size_t>(found - all.begin());
}

}  // namespace

LayeredRules::LayeredRules(const CompileOptions& options, Background background)
    : options_(options), background_(std::move(background)) {
  layers_.base = sigma::CompileRules({}, nullptr, options_).rules;
}

void LayeredRules::Note(const std::string& id) {
  changed_ids_.insert(id);
  if (merge_ != nullptr) changed_since_merge_.insert(id);
  dirty_ = true;
}

void LayeredRules::Set(std::shared_ptr<const Rule> rule) {
  const std::string& id = rule->id;
  std::shared_ptr<const Rule>& present = rules_[id];
  if (present == rule) return;
  Note(id);
  present = std::move(rule);
}

void LayeredRules::Remove(const std::string& id) {
  if (rules_.erase(id) > 0) Note(id);
}

std::vector<std::shared_ptr<const Rule>> LayeredRules::rules() const {
  std::vector<std::shared_ptr<const Rule>> rules;
  rules.reserve(rules_.size());
  for (const auto& [id, rule] : rules_) rules.push_back(rule);
  return rules;
}

const RuleLayers& LayeredRules::Layers() {
  if (merge_ != nullptr && merge_->done.load(std::memory_order_acquire)) TakeMerged();
  if (dirty_) Compile();
  if (merge_ == nullptr && work_ >= merge_cost_) StartMerge();
  return layers_;
}

void LayeredRules::TakeMerged() {
  layers_.base = std::move(merge_->base);
  changed_ids_ = std::move(changed_since_merge_);
  changed_since_merge_.clear();
  merge_ = nullptr;
  work_ = 0;
  dirty_ = true;
}

void LayeredRules::Compile() {
  dirty_ = false;
  if (rules_.size() <= kFewRules || changed_ids_.size() > rules_.size() / kMostChangedShare) {
    CompileAll();
  } else {
    CompileChanges();
  }
  merge_cost_ = std::max<uint64_t>(rules_.size(), 1) * kEventsPerRule;
}

void LayeredRules::CompileAll() {
  layers_.base = sigma::CompileRules(rules(), layers_.base.get(), options_).rules;
  layers_.changes = nullptr;
  layers_.replaced.clear();
  changed_ids_.clear();
  // A base that is being compiled is out of date.
  changed_since_merge_.clear();
  merge_ = nullptr;
  work_ = 0;
}

void LayeredRules::CompileChanges() {
  std::vector<std::shared_ptr<const Rule>> changes;
  layers_.replaced.clear();
  for (const std::string& id : changed_ids_) {
    const std::optional<size_t> position = Find(*layers_.base, id);
    if (position) {
      layers_.replaced.resize(layers_.base->rule_count());
      layers_.replaced[*position] = true;
    }
    const auto rule = rules_.find(id);
    if (rule != rules_.end()) changes.push_back(rule->second);
  }
  // Rules that are gone cost something, too: they are still looked at.
  work_ += kEventsPerRule * changed_ids_.size();
  if (changes.empty()) {
    layers_.changes = nullptr;
  } else {
    layers_.changes =
        sigma::CompileRules(std::move(changes), layers_.changes.get(), options_).rules;
  }
}

void LayeredRules::StartMerge() {
  const auto merge = std::make_shared<Merge>();
  const auto work = [merge, rules = rules(), previous = layers_.base,
                     options = options_]() mutable {
    merge->base = sigma::CompileRules(std::move(rules), previous.get(), options).rules;
    merge->done.store(true, std::memory_order_release);
  };
  merge_ = merge;
  if (background_ != nullptr && background_(IoWork(work))) return;
  CompileAll();
}

}  // namespace weir::sigma
