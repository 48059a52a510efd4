#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "jobs/sigma/control_message.h"
#include "jobs/sigma/correlation/correlation_set.h"
#include "jobs/sigma/engine/layered_rules.h"
#include "jobs/sigma/engine/pipeline.h"
#include "jobs/sigma/engine/rule.h"
#include "jobs/sigma/engine/rule_filter.h"
#include "jobs/sigma/field_mapping.h"
#include "runtime/base/io_pool.h"

namespace weir::sigma {

/// How rules meet events.
struct RuleSetOptions {
  /// Changes rules, and says where events hold fields and how they show their log source; may be
  /// null.
  std::shared_ptr<const Pipeline> pipeline = nullptr;
  /// As CompileOptions has it. Without a pipeline no event shows a log source.
  bool route_by_log_source = true;
  /// How many levels of correlations are run; 0: none, so that they are problems.
  uint32_t correlation_levels = 0;
  /// Where large sets are compiled anew while events are matched; null: on a thread of the set's
  /// own, which is there once one is needed.
  LayeredRules::Background background = nullptr;
};

/// The rules and filters in force, and their compiled form. They change one by one; compilation
/// waits until the next event needs it, so that many changes cost one, and is of what changed
/// (LayeredRules).
///
/// Filters are compiled with the rules, so that an event is looked at once: among what it matches,
/// IsFilter tells them apart. Sigma's own filters (`filter` documents) change the rules that they
/// name, wherever these stand; correlations find what they name when the set is compiled.
///
/// Place: one per subtask of the matching operator. Threads: one at a time. Destroying it waits for
/// a set that is being compiled.
class RuleSet {
 public:
  explicit RuleSet(RuleSetOptions options = {});
  RuleSet(const RuleSet&) = delete;
  RuleSet& operator=(const RuleSet&) = delete;

  /// Puts `rule` in the place of what lies under `key`. Appends to `*problems` what is wrong with
  /// it. Returns false, and changes nothing, if no rule of its text can be used: the version before
  /// stays in force. A rule that is there already changes nothing either.
  bool Set(const std::string& key, const StoredRule& rule, std::vector<RuleProblem>* problems);
  /// Removes what lies under `key`, if anything does.
  void Remove(const std::string& key);

  /// The same for the filter `id`, but that a filter which cannot be used replaces the version
  /// before by none: in doubt events are seen. Returns false then.
  bool SetFilter(const std::string& id, const StoredFilter& filter,
                 std::vector<RuleProblem>* problems);
  void RemoveFilter(const std::string& id);
  /// Whether a rule of the compiled set is a filter.
  [[nodiscard]] static bool IsFilter(const Rule& rule);

  /// Makes rules and filters read events by `mapping`.
  void SetMapping(FieldMapping mapping);

  /// Whether a change awaits compilation, or a set compiled in the background its use.
  [[nodiscard]] bool changed() const { return changed_ || layers_.changed(); }
  /// Compiles what changed. The result is in force until the next call.
  [[nodiscard]] const RuleLayers& Compile();
  /// Tells that an event was matched with what Compile returned.
  void CountEvent() { layers_.CountEvent(); }
  /// The correlations of the compiled set, which read events by the pipeline.
  [[nodiscard]] const CorrelationSet& correlations() const { return correlations_; }
  /// Returns what was found wrong with correlations when the set was compiled and was not told
  /// before.
  [[nodiscard]] std::vector<RuleProblem> TakeProblems();
  /// How often Compile was called.
  [[nodiscard]] uint64_t num_compilations() const { return num_compilations_; }

  /// How many rules are in force, correlations among them, without filters.
  [[nodiscard]] size_t size() const { return owners_.size(); }

 private:
  /// A rule as it was written, and as it reads mapped fields.
  struct Entry {
    std::shared_ptr<const Rule> written;
    std::shared_ptr<const Rule> mapped;
  };
  /// What one text holds.
  struct Entries {
    std::vector<Entry> rules;
    std::vector<CorrelationDefinition> correlations;
    std::vector<std::shared_ptr<const RuleFilter>> filters;
    std::vector<std::string> ids;  ///< Of rules and correlations.

    [[nodiscard]] bool empty() const { return ids.empty() && filters.empty(); }
  };

  [[nodiscard]] Entry MakeEntry(std::shared_ptr<const Rule> rule) const;
  [[nodiscard]] Entries ParseAll(const std::string& key, const StoredRule& stored,
                                 std::vector<RuleProblem>* problems) const;
  void Put(const std::string& key, Entries entries);
  void TakeOut(const Entries& entries);
  bool CompileInBackground(IoWork work);
  void ApplySigmaFilters();
  void ResolveCorrelations();

  const RuleSetOptions options_;
  FieldMapping mapping_;
  std::map<std::string, Entries> rules_;       // By key.
  std::map<std::string, StoredRule> stored_;   // By key.
  std::map<std::string, std::string> owners_;  // Rule id to the key that it lies under.
  std::map<std::string, Entry> filters_;       // By id.
  std::vector<std::shared_ptr<const RuleFilter>> sigma_filters_;
  CorrelationSet correlations_;
  std::vector<RuleProblem> problems_;
  std::set<std::string> told_;  // Problems of correlations, as they are now.
  uint64_t num_compilations_ = 0;
  bool changed_ = true;
  size_t num_correlations_ = 0;
  LayeredRules layers_;
  std::unique_ptr<IoPool> compiler_;  // Last, so that it ends before what its work reads.
};

}  // namespace weir::sigma
