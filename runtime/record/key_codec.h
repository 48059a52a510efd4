#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "runtime/record/byte_io.h"
#include "runtime/record/event_time.h"
#include "runtime/record/reflection.h"
#include "runtime/record/serde.h"
#ifndef XXH_INLINE_ALL
#define XXH_INLINE_ALL  // Keys are short: the call would cost as much as the hash.
#endif
#include "xxhash.h"

namespace weir {

/// Canonical, order-preserving bytes of keys: comparing two encodings with memcmp orders the keys
/// as `<` does, and no encoding is a prefix of another. Key groups, state files and the placement
/// of records depend on it, so an encoding, once released, never changes.
///
/// Integers are big-endian with the sign bit flipped; strings end with 00 01 and hold 00 as 00 FF;
/// aggregates, tuples and pairs are their fields one after another. Floating-point keys are
/// refused: equality is not safe.
template <class K>
struct KeyCodec {
  static_assert(!std::is_floating_point_v<K>, "a floating-point value cannot be a key");

  /// `sink` has Append(const void*, size_t).
  template <class Sink>
  static void Encode(Sink& sink, const K& key) {
    if constexpr (std::is_same_v<K, bool>) {
      const uint8_t byte = key ? 1 : 0;
      sink.Append(&byte, 1);
    } else if constexpr (std::is_integral_v<K>) {
      EncodeInteger(sink, key);
    } else if constexpr (std::is_enum_v<K>) {
      KeyCodec<std::underlying_type_t<K>>::Encode(sink,
                                                  static_cast<std::underlying_type_t<K>>(key));
    } else if constexpr (std::is_same_v<K, EventTime>) {
      KeyCodec<int64_t>::Encode(sink, key.millis());
    } else if constexpr (std::is_convertible_v<const K&, std::string_view>) {
      EncodeString(sink, key);
    } else if constexpr (internal::ReflectedBySerde<K>) {
      ForEachField(key, [&](const auto& field) {
        KeyCodec<std::remove_cvref_t<decltype(field)>>::Encode(sink, field);
      });
    } else {
      std::apply(
          [&](const auto&... elements) {
            (KeyCodec<std::remove_cvref_t<decltype(elements)>>::Encode(sink, elements), ...);
          },
          key);
    }
  }

  /// Reads one key and leaves the reader behind it. False on malformed input.
  static bool Decode(ByteReader& reader, K& key) {
    if constexpr (std::is_same_v<K, bool>) {
      return reader.ReadFixed(&key);
    } else if constexpr (std::is_integral_v<K>) {
      return DecodeInteger(reader, key);
    } else if constexpr (std::is_enum_v<K>) {
      std::underlying_type_t<K> raw{};
      if (!KeyCodec<std::underlying_type_t<K>>::Decode(reader, raw)) return false;
      key = static_cast<K>(raw);
      return true;
    } else if constexpr (std::is_same_v<K, EventTime>) {
      int64_t millis = 0;
      if (!KeyCodec<int64_t>::Decode(reader, millis)) return false;
      key = EventTime::FromMillis(millis);
      return true;
    } else if constexpr (std::is_same_v<K, std::string>) {
      return DecodeString(reader, key);
    } else if constexpr (internal::ReflectedBySerde<K>) {
      bool read = true;
      ForEachField(key, [&](auto& field) {
        read = read && KeyCodec<std::remove_cvref_t<decltype(field)>>::Decode(reader, field);
      });
      return read;
    } else {
      return std::apply(
          [&](auto&... elements) {
            return (KeyCodec<std::remove_cvref_t<decltype(elements)>>::Decode(reader, elements) &&
                    ...);
          },
          key);
    }
  }

 private:
  template <class Integer>
  static Integer SwapBytes(Integer value) {
    if constexpr (sizeof(Integer) == 1)
      return value;
    else if constexpr (sizeof(Integer) == 2)
      return __builtin_bswap16(value);
    else if constexpr (sizeof(Integer) == 4)
      return __builtin_bswap32(value);
    else
      return __builtin_bswap64(value);
  }

  template <class Sink, class Integer>
  static void EncodeInteger(Sink& sink, Integer key) {
    using Unsigned = std::make_unsigned_t<Integer>;
    auto raw = static_cast<Unsigned>(key);
    if constexpr (std::is_signed_v<Integer>) {
      raw = static_cast<Unsigned>(raw ^ (Unsigned{1} << (8 * sizeof(Unsigned) - 1)));
    }
    raw = SwapBytes(raw);
    sink.Append(&raw, sizeof(raw));
  }
  template <class Integer>
  static bool DecodeInteger(ByteReader& reader, Integer& key) {
    using Unsigned = std::make_unsigned_t<Integer>;
    Unsigned raw = 0;
    if (!reader.ReadFixed(&raw)) return false;
    raw = SwapBytes(raw);
    if constexpr (std::is_signed_v<Integer>) {
      raw = static_cast<Unsigned>(raw ^ (Unsigned{1} << (8 * sizeof(Unsigned) - 1)));
    }
    key = static_cast<Integer>(raw);
    return true;
  }

  template <class Sink>
  static void EncodeString(Sink& sink, std::string_view text) {
    while (true) {
      const auto* zero = text.empty() ? nullptr : std::memchr(text.data(), 0, text.size());
      if (zero == nullptr) break;
      const auto length = static_cast<size_t>(static_cast<const char*>(zero) - text.data());
      sink.Append(text.data(), length);
      sink.Append("\x00\xff", 2);
      text.remove_prefix(length + 1);
    }
    sink.Append(text.data(), text.size());
    sink.Append("\x00\x01", 2);
  }
  static bool DecodeString(ByteReader& reader, std::string& text) {
    text.clear();
    while (true) {
      char c = 0;
      if (!reader.ReadBytes(&c, 1)) return false;
      if (c != 0) {
        text += c;
        continue;
      }
      if (!reader.ReadBytes(&c, 1)) return false;
      if (c == 1) return true;
      if (c != '\xff') return reader.Fail();
      text += '\0';
    }
  }
};

/// Bytes of one key on the stack; longer ones move to the heap. The sink of KeyCodec::Encode.
class KeyBuffer {
 public:
  void Append(const void* data, size_t size) {
    if (heap_.empty() && size_ + size <= inline_.size()) {
      if (size > 0) std::memcpy(inline_.data() + size_, data, size);
    } else {
      if (heap_.empty()) heap_.assign(inline_.data(), size_);
      heap_.append(static_cast<const char*>(data), size);
    }
    size_ += size;
  }
  void Clear() {
    size_ = 0;
    heap_.clear();
  }
  [[nodiscard]] std::string_view view() const {
    return {heap_.empty() ? inline_.data() : heap_.data(), size_};
  }

 private:
  size_t size_ = 0;
  std::array<char, 120> inline_;
  std::string heap_;
};

/// Returns XXH3_64 of the key's canonical bytes: what places a record and a state entry.
/// The high 32 bits choose the key group, the low 32 bits the place in a table.
template <class K>
[[nodiscard]] uint64_t KeyHash(const K& key) {
  KeyBuffer buffer;
  KeyCodec<K>::Encode(buffer, key);
  return XXH3_64bits(buffer.view().data(), buffer.view().size());
}

/// Returns the key's canonical bytes.
template <class K>
[[nodiscard]] std::string EncodeKey(const K& key) {
  KeyBuffer buffer;
  KeyCodec<K>::Encode(buffer, key);
  return std::string(buffer.view());
}

}  // namespace weir
