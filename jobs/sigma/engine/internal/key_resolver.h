#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "jobs/sigma/engine/internal/program.h"

namespace weir::sigma {

/// Where the values of a key belong: a PathEntry, or several joined.
struct KeyTarget {
  uint32_t field = kNoId;
  std::span<const uint32_t> more;  ///< Further fields.
  uint32_t list = kNoId;           ///< As in PathEntry.
  uint32_t number = kNoId;         ///< Of targets whose values are looked up by text.
};

/// What a key of an event leads to.
struct ResolvedKey {
  KeyTarget entry;
  uint32_t below = kNoId;  ///< The path of keys below it; kNoId if none of them leads anywhere.
};

/// Finds what the keys of events lead to, by the paths of a program: all that they fit, by their
/// name, by their name without spaces (rules write names so), and by `*`. Events have the same keys
/// over and over, so what a key leads to is remembered.
///
/// Lifecycle: one per Matcher. Threads: one at a time.
class KeyResolver {
 public:
  static constexpr uint32_t kTop = 0;  ///< The path of an event's own keys.

  /// Resolves by `program`, which must outlive its use, from now on.
  void SetProgram(const Program* program);

  /// Returns what `key` below `path` leads to. The result lives until the next call; what it points
  /// to, until the next SetProgram.
  [[nodiscard]] const ResolvedKey& Resolve(uint32_t path, std::string_view key);

 private:
  struct Slot {
    uint64_t hash = 0;
    uint32_t path = kNoId;
    std::string key;
    ResolvedKey resolved;
  };

  /// A path of the program that keys fit.
  struct Found {
    std::string path;
    const PathEntry* entry;
  };

  [[nodiscard]] ResolvedKey LookUp(uint32_t path, std::string_view key);
  void Find(const std::string& path, std::vector<Found>& found) const;
  [[nodiscard]] KeyTarget TargetOf(const PathEntry& entry) const;
  [[nodiscard]] KeyTarget Join(const std::vector<Found>& found);

  const Program* program_ = nullptr;
  std::vector<Slot> slots_;
  // By number of a path: what stands before the keys below it, each time with a dot at its end,
  // save at the top. No more than the program has paths.
  std::vector<std::vector<std::string>> prefixes_;
  absl::flat_hash_map<std::string, ResolvedKey> known_;  // By the paths that a key fits.
  std::deque<std::vector<uint32_t>> joined_fields_;
  uint32_t num_targets_ = 0;  // With a number.
};

}  // namespace weir::sigma
