#pragma once

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/record/byte_io.h"
#include "runtime/state/key_groups.h"

namespace weir::internal {

/// The encoded keys of one table's frozen entries, to be sorted, and the values that are small: a
/// small value is best read while its entry is in the cache anyway. Plain data.
class EncodedEntries {
 public:
  static constexpr size_t kMaxSmallValueBytes = 128;

  struct Entry {
    uint64_t prefix;  // The first bytes of the key, so that most comparisons end here.
    uint64_t offset;  // Of the key; a small value follows it.
    uint32_t key_size;
    uint32_t index;  // In the table's frozen entries.
    uint16_t key_group;
    uint16_t value_size;
    bool has_value;
    bool dead;
  };

  // The sink of KeyCodec::Encode; bytes appended belong to the entry that Finish closes.
  void Append(const void* data, size_t size) {
    bytes_.append(static_cast<const char*>(data), size);
  }
  void Finish(KeyGroup key_group, size_t index, bool dead);
  /// Appends the value of the entry finished last, of at most kMaxSmallValueBytes if it is kept.
  template <class Write>
  void AddValue(Write&& write) {
    const size_t begin = bytes_.size();
    ByteWriter writer(&bytes_);
    write(writer);
    KeepValue(begin);
  }

  /// Sorts by key group, then key; of equal keys the live one first.
  void Sort();
  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }
  [[nodiscard]] std::string_view Key(const Entry& entry) const {
    return std::string_view(bytes_).substr(entry.offset, entry.key_size);
  }
  /// Needs entry.has_value.
  [[nodiscard]] std::string_view Value(const Entry& entry) const {
    return std::string_view(bytes_).substr(entry.offset + entry.key_size, entry.value_size);
  }
  [[nodiscard]] size_t MemoryBytes() const {
    return bytes_.capacity() + entries_.capacity() * sizeof(Entry);
  }
  void Prefetch(const Entry& entry) const { __builtin_prefetch(bytes_.data() + entry.offset); }

 private:
  void KeepValue(size_t begin);

  std::string bytes_;
  size_t begin_ = 0;  // Of the entry not finished yet.
  std::vector<Entry> entries_;
};

/// The indexes of entries in the order of their key groups. Plain data.
class EntriesByKeyGroup {
 public:
  /// Sorts the indexes of `groups`, each of which is a key group less the first of `range`.
  void Sort(KeyGroupRange range, const std::vector<uint16_t>& groups);
  [[nodiscard]] bool sorted() const { return !begins_.empty(); }
  /// Returns the indexes of the groups `groups`, which are in the range.
  [[nodiscard]] std::span<const uint32_t> Of(KeyGroupRange groups) const {
    const uint32_t begin = begins_[groups.first - range_.first];
    const uint32_t end = begins_[groups.last + 1 - range_.first];
    return std::span(indexes_).subspan(begin, end - begin);
  }

 private:
  KeyGroupRange range_;
  std::vector<uint32_t> begins_;  // Of each group, and the end.
  std::vector<uint32_t> indexes_;
};

}  // namespace weir::internal
