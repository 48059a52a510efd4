#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "jobs/sigma/engine/compiled_rules.h"
#include "jobs/sigma/engine/rule.h"
#include "runtime/base/io_pool.h"

namespace weir::sigma {

/// Rules as a Matcher uses them: a large set that was compiled as a whole, and beside it a small
/// one of what has changed since.
struct RuleLayers {
  std::shared_ptr<const CompiledRules> base;     ///< Never null.
  std::shared_ptr<const CompiledRules> changes;  ///< New versions and new rules; null: none.
  /// By rule of `base`, in order of ids: whether it is in force no more. Empty: all are.
  std::vector<bool> replaced;
};

/// Rules that change one by one while events are matched.
///
/// A change compiles only what has changed since the base was compiled: milliseconds, however many
/// rules there are. But each event then meets two sets. So once that has cost about as much as
/// compiling a new base does, one is compiled in the background, and Layers takes it over. What
/// matches does not depend on when that is.
///
/// Threads: one at a time; the background's reads only what never changes.
class LayeredRules {
 public:
  /// Does work on another thread; returns false, and does nothing, if it takes no more.
  using Background = std::function<bool(IoWork work)>;

  /// What `options` points to must outlive the work given to `background`, too. No background:
  /// bases are compiled in place.
  explicit LayeredRules(const CompileOptions& options, Background background = nullptr);

  /// Puts `rule` in the place of the one with its id, if there is one.
  void Set(std::shared_ptr<const Rule> rule);
  /// Removes the rule `id`, if there is one.
  void Remove(const std::string& id);

  [[nodiscard]] size_t size() const { return rules_.size(); }
  [[nodiscard]] std::vector<std::shared_ptr<const Rule>> rules() const;

  /// Whether the last Layers are not the newest: rules changed, or a new base is there.
  [[nodiscard]] bool changed() const {
    return dirty_ || (merge_ != nullptr && merge_->done.load(std::memory_order_acquire)) ||
           (merge_ == nullptr && work_ >= merge_cost_);
  }
  /// Compiles what changed. The result is in force until the next call.
  [[nodiscard]] const RuleLayers& Layers();

  /// Tells that an event was matched with the last Layers.
  void CountEvent() {
    if (layers_.changes != nullptr) ++work_;
  }

  /// Whether a new base is being compiled.
  [[nodiscard]] bool merging() const { return merge_ != nullptr; }

 private:
  /// A base that is being compiled.
  struct Merge {
    std::shared_ptr<const CompiledRules> base;
    std::atomic<bool> done{false};  // Released once `base` is written, acquired before it is read.
  };

  void Note(const std::string& id);
  void TakeMerged();
  void Compile();
  void CompileAll();
  void CompileChanges();
  void StartMerge();

  const CompileOptions options_;
  const Background background_;
  std::map<std::string, std::shared_ptr<const Rule>> rules_;  // All, by id.
  std::set<std::string> changed_ids_;                         // Those that differ from the base,
  std::set<std::string> changed_since_merge_;                 // and from the one being compiled.
  std::shared_ptr<Merge> merge_;                              // Null: none.
  RuleLayers layers_;
  bool dirty_ = true;
  // What the changes have cost, and what compiling a base would, in matched events.
  uint64_t work_ = 0;
  uint64_t merge_cost_ = 1;
};

}  // namespace weir::sigma
