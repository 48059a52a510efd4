#include "jobs/sigma/engine/internal/key_resolver.h"

#include "jobs/sigma/engine/internal/byte_hash.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

constexpr size_t kNumSlots = 1024;  // A power of two.
constexpr size_t kLongestKey = 128;

}  // namespace

void KeyResolver::SetProgram(const Program* program) {
  program_ = program;
  slots_.assign(kNumSlots, Slot{});
  paths_.assign(1, Path{});
  numbers_.clear();
}

const ResolvedKey& KeyResolver::Resolve(uint32_t path, std::string_view key) {
  const uint64_t hash = HashBytes(key, path);
  Slot& slot = slots_[hash & (kNumSlots - 1)];
  if (slot.hash == hash && slot.path == path && slot.key == key) return slot.resolved;
  slot.resolved = LookUp(path, key);
  // Long keys are no names of fields; they are not worth the memory.
  const bool kept = key.size() <= kLongestKey;
  slot.hash = hash;
  slot.path = kept ? path : kNoId;
  slot.key.assign(kept ? key : std::string_view());
  return slot.resolved;
}

const PathEntry* KeyResolver::Find(const std::string& path) const {
  const auto found = program_->paths.find(path);
  return found == program_->paths.end() ? nullptr : &found->second;
}

ResolvedKey KeyResolver::LookUp(uint32_t path, std::string_view key) {
  const std::string prefix = paths_[path].prefix;
  std::string full = StrCat(prefix, key);
  const PathEntry* entry = Find(full);
  if (entry == nullptr && key.find(' ') != std::string_view::npos) {
    // Rules write field names without their spaces.
    std::string compact(key);
    std::erase(compact, ' ');
    full = StrCat(prefix, compact);
    entry = Find(full);
  }
  if (entry == nullptr && paths_[path].any_child) {
    full = StrCat(prefix, "*");
    entry = Find(full);
  }
  if (entry == nullptr) return {};
  ResolvedKey resolved{*entry, kNoId};
  if (entry->has_children) resolved.below = NumberOf(full, *entry);
  return resolved;
}

uint32_t KeyResolver::NumberOf(const std::string& path, const PathEntry& entry) {
  const auto [found, added] = numbers_.try_emplace(path, static_cast<uint32_t>(paths_.size()));
  if (added) paths_.push_back({StrCat(path, "."), entry.any_child});
  return found->second;
}

}  // namespace weir::sigma
