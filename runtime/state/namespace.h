#pragma once

#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "runtime/record/key_codec.h"
#include "runtime/record/serde.h"

namespace weir {

/// The namespace of state that has one value per key. Takes no room in a table.
struct VoidNamespace {
  friend constexpr bool operator==(VoidNamespace, VoidNamespace) { return true; }
};

template <>
struct KeyCodec<VoidNamespace> {
  template <class Sink>
  static void Encode(Sink&, VoidNamespace) {}
  static bool Decode(ByteReader&, VoidNamespace&) { return true; }
};

template <>
struct Serde<VoidNamespace> {
  static void Write(ByteWriter&, VoidNamespace) {}
  static bool Read(ByteReader&, VoidNamespace&) { return true; }
  static Schema GetSchema() { return {Schema::Kind::kStruct, "", {}}; }
};

/// What tells the timers of one key apart: when they are due, and what for. In files the time comes
/// before the key, so that those that are due next can be found.
template <class N>
struct TimerPlace {
  int64_t time_ms = 0;
  N ns{};
};

namespace internal {

template <class T>
inline constexpr bool kIsTimerPlace = false;
template <class N>
inline constexpr bool kIsTimerPlace<TimerPlace<N>> = true;

template <class T>
struct IsPair : std::false_type {};
template <class A, class B>
struct IsPair<std::pair<A, B>> : std::true_type {};

// Spreads a namespace over 64 bits. Only tables in memory see it.
template <class N>
uint64_t HashNamespace(const N& ns) {
  constexpr uint64_t kOdd = 0x9E3779B97F4A7C15;
  if constexpr (std::is_same_v<N, VoidNamespace>) {
    return 0;
  } else if constexpr (std::is_integral_v<N> || std::is_enum_v<N>) {
    const uint64_t product = static_cast<uint64_t>(ns) * kOdd;
    return product ^ (product >> 32);
  } else if constexpr (std::is_same_v<N, EventTime>) {
    return HashNamespace(ns.millis());
  } else if constexpr (IsPair<N>::value) {
    return HashNamespace(ns.first) * 31 + HashNamespace(ns.second);
  } else if constexpr (kIsTimerPlace<N>) {
    return HashNamespace(ns.time_ms) * 31 + HashNamespace(ns.ns);
  } else {
    return KeyHash(ns);
  }
}

// Keys are equal when their canonical bytes are; most types have an operator that says so faster.
template <class K>
bool KeysEqual(const K& a, const K& b) {
  if constexpr (IsPair<K>::value) {  // Whose operator exists even where those of its parts do not.
    return KeysEqual(a.first, b.first) && KeysEqual(a.second, b.second);
  } else if constexpr (kIsTimerPlace<K>) {
    return a.time_ms == b.time_ms && KeysEqual(a.ns, b.ns);
  } else if constexpr (requires {
                         { a == b } -> std::convertible_to<bool>;
                       }) {
    return a == b;
  } else {
    KeyBuffer bytes_a;
    KeyBuffer bytes_b;
    KeyCodec<K>::Encode(bytes_a, a);
    KeyCodec<K>::Encode(bytes_b, b);
    return bytes_a.view() == bytes_b.view();
  }
}

// Orders keys as their canonical bytes do.
template <class K>
struct KeyLess {
  bool operator()(const K& a, const K& b) const {
    if constexpr (std::is_integral_v<K> || std::is_enum_v<K> || std::is_same_v<K, EventTime> ||
                  std::is_same_v<K, std::string>) {
      return a < b;
    } else {
      KeyBuffer bytes_a;
      KeyBuffer bytes_b;
      KeyCodec<K>::Encode(bytes_a, a);
      KeyCodec<K>::Encode(bytes_b, b);
      return bytes_a.view() < bytes_b.view();
    }
  }
};

// The key of an entry in files, behind key group and name: canonical key and namespace.
template <class K, class N, class Sink>
void EncodeEntry(Sink& sink, const K& key, const N& ns) {
  if constexpr (kIsTimerPlace<N>) {
    KeyCodec<int64_t>::Encode(sink, ns.time_ms);
    KeyCodec<K>::Encode(sink, key);
    KeyCodec<decltype(ns.ns)>::Encode(sink, ns.ns);
  } else {
    KeyCodec<K>::Encode(sink, key);
    KeyCodec<N>::Encode(sink, ns);
  }
}

// Reads what EncodeEntry wrote; `hash` becomes that of the key. False on malformed input.
template <class K, class N>
bool DecodeEntry(std::string_view bytes, K& key, uint64_t& hash, N& ns) {
  ByteReader reader(bytes);
  if constexpr (kIsTimerPlace<N>) {
    if (!KeyCodec<int64_t>::Decode(reader, ns.time_ms)) return false;
  }
  const size_t begin = bytes.size() - reader.remaining();
  if (!KeyCodec<K>::Decode(reader, key)) return false;
  hash = XXH3_64bits(bytes.data() + begin, bytes.size() - reader.remaining() - begin);
  if constexpr (kIsTimerPlace<N>) {
    return KeyCodec<decltype(ns.ns)>::Decode(reader, ns.ns) && reader.remaining() == 0;
  } else {
    return KeyCodec<N>::Decode(reader, ns) && reader.remaining() == 0;
  }
}

}  // namespace internal

}  // namespace weir
