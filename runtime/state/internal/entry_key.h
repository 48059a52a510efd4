#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/record/byte_io.h"
#include "runtime/record/key_codec.h"
#include "runtime/state/key_groups.h"

namespace weir::internal {

// The key of an entry in a file of a snapshot: [key group, 16 bits big-endian][name][key and
// namespace].

inline constexpr size_t kKeyGroupBytes = 2;

inline void AppendKeyGroup(KeyGroup group, std::string* out) {
  out->push_back(static_cast<char>(group >> 8));
  out->push_back(static_cast<char>(group & 0xff));
}

/// Returns where the entries of a key group begin; those of the last one end at that of the next.
[[nodiscard]] inline std::string KeyGroupPrefix(KeyGroup group) {
  std::string prefix;
  AppendKeyGroup(group, &prefix);
  return prefix;
}

/// Returns the key group of an entry's key that has at least kKeyGroupBytes.
[[nodiscard]] inline KeyGroup KeyGroupOfEntry(std::string_view entry_key) {
  return static_cast<KeyGroup>(static_cast<unsigned char>(entry_key[0]) << 8 |
                               static_cast<unsigned char>(entry_key[1]));
}

/// Splits the keys of one sorted run into key group, state name and the rest.
class EntryKeyReader {
 public:
  /// Returns false if `entry_key` is malformed. The results are valid until the next call.
  bool Read(std::string_view entry_key) {
    if (entry_key.size() < kKeyGroupBytes) return false;
    key_group_ = KeyGroupOfEntry(entry_key);
    entry_key.remove_prefix(kKeyGroupBytes);
    // Most entries are of the same state as the one before, and no name's encoding is a prefix of
    // another's.
    if (encoded_name_.empty() || !entry_key.starts_with(encoded_name_)) {
      ByteReader reader(entry_key);
      if (!KeyCodec<std::string>::Decode(reader, name_)) return false;
      encoded_name_ = entry_key.substr(0, entry_key.size() - reader.remaining());
    }
    rest_ = entry_key.substr(encoded_name_.size());
    return true;
  }

  [[nodiscard]] KeyGroup key_group() const { return key_group_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::string_view rest() const { return rest_; }

 private:
  KeyGroup key_group_ = 0;
  std::string name_;
  std::string encoded_name_;
  std::string_view rest_;
};

}  // namespace weir::internal
