#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace weir::sigma {

/// Remembers which predicates hold for values that events had before, so that a value is read,
/// folded and searched once. Fields whose values hardly ever come again are soon left alone.
///
/// Lifecycle: one per Matcher, for one set of rules. Its memory is bounded; when it is full, it
/// forgets all. Threads: one at a time.
class ValueCache {
 public:
  ValueCache();

  /// Forgets everything, and expects paths below `num_paths`; others may come as well.
  void Reset(size_t num_paths);

  /// Returns whether it is worth to look for values of `path` now.
  [[nodiscard]] bool Wants(uint32_t path) {
    if (path >= usages_.size()) usages_.resize(path + 1);
    Usage& usage = usages_[path];
    if (usage.rest == 0) return true;
    --usage.rest;
    return false;
  }

  /// Returns whether `token`, a value of `path`, is known; `*predicates` are then those that hold
  /// for it, until the next Insert.
  [[nodiscard]] bool Find(uint32_t path, std::string_view token,
                          std::span<const uint32_t>* predicates);

  /// Remembers the value that Find just missed.
  void Insert(std::string_view token, std::span<const uint32_t> predicates);

 private:
  struct Slot {
    uint64_t hash = 0;
    uint32_t path = UINT32_MAX;  // UINT32_MAX: empty.
    uint32_t num_predicates = 0;
    const uint32_t* predicates = nullptr;  // The token lies behind them.
    uint32_t token_size = 0;
  };

  /// How well the values of a path are known.
  struct Usage {
    uint32_t tries = 0;
    uint32_t hits = 0;
    uint32_t rest = 0;  // How many values to let pass before trying again.
  };

  void Judge(Usage& usage);

  std::vector<Slot> slots_;
  std::unique_ptr<uint32_t[]> memory_;
  size_t memory_used_ = 0;
  std::vector<Usage> usages_;
  // Of the last Find.
  uint64_t hash_ = 0;
  uint32_t path_ = 0;
};

}  // namespace weir::sigma
