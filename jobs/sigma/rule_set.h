#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "jobs/sigma/control_message.h"
#include "jobs/sigma/engine/compiled_rules.h"
#include "jobs/sigma/engine/pipeline.h"
#include "jobs/sigma/engine/rule.h"
#include "jobs/sigma/field_mapping.h"

namespace weir::sigma {

/// How rules meet events.
struct RuleSetOptions {
  /// Changes rules, and says where events hold fields and how they show their log source; may be
  /// null.
  std::shared_ptr<const Pipeline> pipeline = nullptr;
  /// As CompileOptions has it. Without a pipeline no event shows a log source.
  bool route_by_log_source = true;
};

/// The rules and filters in force, and their compiled form. They change one by one; compilation
/// waits until the next event needs it, so that many changes cost one.
///
/// Filters are compiled with the rules, so that an event is looked at once: among what it matches,
/// IsFilter tells them apart.
///
/// Place: one per subtask of the matching operator. Threads: one at a time.
class RuleSet {
 public:
  explicit RuleSet(RuleSetOptions options = {});

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

  /// Whether a change awaits compilation.
  [[nodiscard]] bool changed() const { return changed_; }
  /// Compiles all rules, sharing with the set before what fits unchanged.
  [[nodiscard]] std::shared_ptr<const CompiledRules> Compile();
  /// How often Compile was called.
  [[nodiscard]] uint64_t num_compilations() const { return num_compilations_; }

  /// How many rules are in force, without filters.
  [[nodiscard]] size_t size() const { return owners_.size(); }

 private:
  /// A rule as it was written, and as it reads mapped fields.
  struct Entry {
    std::shared_ptr<const Rule> written;
    std::shared_ptr<const Rule> mapped;
  };
  using Entries = std::vector<Entry>;

  [[nodiscard]] Entry MakeEntry(std::shared_ptr<const Rule> rule) const;
  [[nodiscard]] Entries ParseAll(const std::string& key, const StoredRule& stored,
                                 std::vector<RuleProblem>* problems) const;

  const RuleSetOptions options_;
  FieldMapping mapping_;
  std::map<std::string, Entries> rules_;       // By key.
  std::map<std::string, StoredRule> stored_;   // By key.
  std::map<std::string, std::string> owners_;  // Rule id to the key that it lies under.
  std::map<std::string, Entry> filters_;       // By id.
  std::shared_ptr<const CompiledRules> compiled_;
  uint64_t num_compilations_ = 0;
  bool changed_ = true;
};

}  // namespace weir::sigma
