#include "runtime/state/internal/encoded_entries.h"

#include <algorithm>
#include <cstring>

namespace weir::internal {

void EncodedEntries::Finish(KeyGroup key_group, size_t index, bool dead) {
  const size_t size = bytes_.size() - begin_;
  uint64_t prefix = 0;
  std::memcpy(&prefix, bytes_.data() + begin_, std::min(size, sizeof(prefix)));
  entries_.push_back({__builtin_bswap64(prefix), begin_, static_cast<uint32_t>(size),
                      static_cast<uint32_t>(index), static_cast<uint16_t>(key_group),
                      /*value_size=*/0, /*has_value=*/false, dead});
  begin_ = bytes_.size();
}

void EncodedEntries::KeepValue(size_t begin) {
  const size_t size = bytes_.size() - begin;
  if (size > kMaxSmallValueBytes) {
    bytes_.resize(begin);
    return;
  }
  entries_.back().value_size = static_cast<uint16_t>(size);
  entries_.back().has_value = true;
  begin_ = bytes_.size();
}

void EncodedEntries::Sort() {
  std::sort(entries_.begin(), entries_.end(), [this](const Entry& a, const Entry& b) {
    if (a.key_group != b.key_group) return a.key_group < b.key_group;
    if (a.prefix != b.prefix) return a.prefix < b.prefix;
    const int order = Key(a).compare(Key(b));
    return order != 0 ? order < 0 : a.dead < b.dead;
  });
}

void EntriesByKeyGroup::Sort(KeyGroupRange range, const std::vector<uint16_t>& groups) {
  range_ = range;
  begins_.assign(range.size() + 1, 0);
  for (const uint16_t group : groups) ++begins_[group + size_t{1}];
  std::partial_sum(begins_.begin(), begins_.end(), begins_.begin());
  std::vector<uint32_t> next(begins_.begin(), begins_.end() - 1);
  indexes_.resize(groups.size());
  for (size_t i = 0; i < groups.size(); ++i) {
    indexes_[next[groups[i]]++] = static_cast<uint32_t>(i);
  }
}

}  // namespace weir::internal
