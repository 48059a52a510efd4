#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "runtime/record/byte_io.h"
#include "runtime/record/event_time.h"
#include "runtime/record/reflection.h"
#include "runtime/record/serde.h"
#ifndef XXH_INLINE_ALL
#define XXH_INLINE_ALL  // Keys are short: the call would cost as much as the hash.
#endif
#include "xxhash.h"

namespace weir {

namespace internal {

template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};

// Types that KeyCodec can take apart; whether their parts can be keys, it finds out by itself.
template <class K>
concept KeyEncodable = std::is_integral_v<K> || std::is_enum_v<K> || std::is_floating_point_v<K> ||
                       std::is_same_v<K, EventTime> || std::is_same_v<K, absl::Time> ||
                       std::is_same_v<K, absl::Duration> || std::is_same_v<K, std::monostate> ||
                       std::is_convertible_v<const K&, std::string_view> || IsOptional<K>::value ||
                       IsVariant<K>::value || IsVector<K>::value || ReflectedBySerde<K> ||
                       requires { std::tuple_size<K>::value; };

}  // namespace internal

/// Canonical, order-preserving bytes of keys: comparing two encodings with memcmp orders the keys
/// as `<` does, and no encoding is a prefix of another. Key groups, state files and the placement
/// of records depend on it, so an encoding, once released, never changes.
///
/// Integers are big-endian with the sign bit flipped; strings end with 00 01 and hold 00 as 00 FF;
/// aggregates, tuples, pairs and arrays are their fields one after another. An optional is 00, or
/// 01 and its value; a variant the index of its alternative (one byte), then that; a vector its
/// elements, each behind 01, then 00; times and durations are seconds and parts of them.
/// Floating-point keys are refused: equality is not safe.
template <class K>
struct KeyCodec {
  static_assert(!std::is_floating_point_v<K>, "a floating-point value cannot be a key");
  static_assert(internal::KeyEncodable<K>,
                "this type cannot be a key: keys are integers, enums, strings, times, and "
                "aggregates, tuples, optionals, variants and vectors of them");

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
    } else if constexpr (std::is_same_v<K, absl::Duration>) {
      const auto [seconds, ticks] = Serde<absl::Duration>::Split(key);
      EncodeInteger(sink, seconds);
      EncodeInteger(sink, ticks);
    } else if constexpr (std::is_same_v<K, absl::Time>) {
      KeyCodec<absl::Duration>::Encode(sink, key - absl::UnixEpoch());
    } else if constexpr (std::is_convertible_v<const K&, std::string_view>) {
      EncodeString(sink, key);
    } else if constexpr (std::is_same_v<K, std::monostate>) {
      // Nothing: all are equal.
    } else if constexpr (internal::IsOptional<K>::value) {
      KeyCodec<bool>::Encode(sink, key.has_value());
      if (key.has_value()) KeyCodec<typename K::value_type>::Encode(sink, *key);
    } else if constexpr (internal::IsVariant<K>::value) {
      const auto index = static_cast<uint8_t>(key.index());
      sink.Append(&index, 1);
      std::visit(
          [&](const auto& alternative) {
            KeyCodec<std::remove_cvref_t<decltype(alternative)>>::Encode(sink, alternative);
          },
          key);
    } else if constexpr (internal::IsVector<K>::value) {
      for (const auto& element : key) {
        sink.Append("\x01", 1);
        KeyCodec<typename K::value_type>::Encode(sink, element);
      }
      sink.Append("\x00", 1);
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
      uint8_t byte = 0;
      if (!reader.ReadFixed(&byte) || byte > 1) return reader.Fail();
      key = byte == 1;
      return true;
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
    } else if constexpr (std::is_same_v<K, absl::Duration>) {
      int64_t seconds = 0;
      uint32_t ticks = 0;
      if (!DecodeInteger(reader, seconds) || !DecodeInteger(reader, ticks)) return false;
      return Serde<absl::Duration>::Join(seconds, ticks, key) || reader.Fail();
    } else if constexpr (std::is_same_v<K, absl::Time>) {
      absl::Duration since_epoch;
      if (!KeyCodec<absl::Duration>::Decode(reader, since_epoch)) return false;
      key = absl::UnixEpoch() + since_epoch;
      return true;
    } else if constexpr (std::is_same_v<K, std::string>) {
      return DecodeString(reader, key);
    } else if constexpr (std::is_same_v<K, std::monostate>) {
      return true;
    } else if constexpr (internal::IsOptional<K>::value) {
      bool present = false;
      if (!KeyCodec<bool>::Decode(reader, present)) return false;
      key.reset();
      return !present || KeyCodec<typename K::value_type>::Decode(reader, key.emplace());
    } else if constexpr (internal::IsVariant<K>::value) {
      return DecodeVariant(reader, key, std::make_index_sequence<std::variant_size_v<K>>{});
    } else if constexpr (internal::IsVector<K>::value) {
      key.clear();
      while (true) {
        bool more = false;
        if (!KeyCodec<bool>::Decode(reader, more)) return false;
        if (!more) return true;
        typename K::value_type element{};
        if (!KeyCodec<typename K::value_type>::Decode(reader, element)) return false;
        key.push_back(std::move(element));
      }
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
  template <class Variant, size_t... kIndexes>
  static bool DecodeVariant(ByteReader& reader, Variant& key, std::index_sequence<kIndexes...>) {
    uint8_t index = 0;
    if (!reader.ReadFixed(&index) || index >= sizeof...(kIndexes)) return reader.Fail();
    bool read = false;
    (void)((index == kIndexes &&
            (read = KeyCodec<std::variant_alternative_t<kIndexes, Variant>>::Decode(
                 reader, key.template emplace<kIndexes>()),
             true)) ||
           ...);
    return read;
  }

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
