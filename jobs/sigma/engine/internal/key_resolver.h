#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "jobs/sigma/engine/internal/program.h"

namespace weir::sigma {

/// What a key of an event leads to.
struct ResolvedKey {
  PathEntry entry;
  uint32_t below = kNoId;  ///< The path of keys below it; kNoId if none of them leads anywhere.
};

/// Finds what the keys of events lead to, by the paths of a program. Events have the same keys over
/// and over, so what a key leads to is remembered.
///
/// Lifecycle: one per Matcher. Threads: one at a time.
class KeyResolver {
 public:
  static constexpr uint32_t kTop = 0;  ///< The path of an event's own keys.

  /// Resolves by `program`, which must outlive its use, from now on.
  void SetProgram(const Program* program);

  /// Returns what `key` below `path` leads to. The result lives until the next call.
  [[nodiscard]] const ResolvedKey& Resolve(uint32_t path, std::string_view key);

 private:
  struct Slot {
    uint64_t hash = 0;
    uint32_t path = kNoId;
    std::string key;
    ResolvedKey resolved;
  };

  struct Path {
    std::string prefix;  // Ends with a dot, unless it is the top.
    bool any_child = false;
  };

  [[nodiscard]] ResolvedKey LookUp(uint32_t path, std::string_view key);
  [[nodiscard]] const PathEntry* Find(const std::string& path) const;
  [[nodiscard]] uint32_t NumberOf(const std::string& path, const PathEntry& entry);

  const Program* program_ = nullptr;
  std::vector<Slot> slots_;
  std::vector<Path> paths_;                             // No more than the program has.
  absl::flat_hash_map<std::string, uint32_t> numbers_;  // Of paths_, by path.
};

}  // namespace weir::sigma
