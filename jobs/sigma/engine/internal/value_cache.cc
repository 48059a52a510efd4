#include "jobs/sigma/engine/internal/value_cache.h"

#include <algorithm>
#include <cstring>

#include "jobs/sigma/engine/internal/byte_hash.h"

namespace weir::sigma {
namespace {

constexpr size_t kNumSlots = 8192;            // A power of two.
constexpr size_t kMemoryWords = 1024 * 1024;  // Of four bytes.
constexpr size_t kLongestToken = 1024;
constexpr uint32_t kTriesToJudge = 512;
constexpr uint32_t kLeastShareOfHits = 8;  // One of so many must be known.
constexpr uint32_t kRest = 16384;

}  // namespace

ValueCache::ValueCache() : slots_(kNumSlots) {}

void ValueCache::Reset(size_t num_paths) {
  std::fill(slots_.begin(), slots_.end(), Slot{});
  memory_used_ = 0;
  usages_.assign(num_paths, Usage{});
}

void ValueCache::Judge(Usage& usage) {
  if (usage.hits * kLeastShareOfHits < usage.tries) usage.rest = kRest;
  usage.tries = 0;
  usage.hits = 0;
}

bool ValueCache::Find(uint32_t path, std::string_view token,
                      std::span<const uint32_t>* predicates) {
  hash_ = HashBytes(token, path);
  path_ = path;
  const Slot& slot = slots_[hash_ & (kNumSlots - 1)];
  const bool known =
      slot.hash == hash_ && slot.path == path && slot.token_size == token.size() &&
      std::memcmp(slot.predicates + slot.num_predicates, token.data(), token.size()) == 0;
  Usage& usage = usages_[path];
  ++usage.tries;
  if (known) {
    ++usage.hits;
    *predicates = {slot.predicates, slot.num_predicates};
  }
  if (usage.tries >= kTriesToJudge) Judge(usage);
  return known;
}

void ValueCache::Insert(std::string_view token, std::span<const uint32_t> predicates) {
  if (token.size() > kLongestToken) return;
  const size_t words = predicates.size() + (token.size() + 3) / 4;
  if (words > kMemoryWords) return;
  if (memory_ == nullptr) memory_ = std::make_unique_for_overwrite<uint32_t[]>(kMemoryWords);
  if (memory_used_ + words > kMemoryWords) {
    std::fill(slots_.begin(), slots_.end(), Slot{});
    memory_used_ = 0;
  }
  uint32_t* const target = memory_.get() + memory_used_;
  memory_used_ += words;
  std::copy(predicates.begin(), predicates.end(), target);
  std::memcpy(target + predicates.size(), token.data(), token.size());
  slots_[hash_ & (kNumSlots - 1)] = {hash_, path_, static_cast<uint32_t>(predicates.size()), target,
                                     static_cast<uint32_t>(token.size())};
}

}  // namespace weir::sigma
