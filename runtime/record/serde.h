#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstdint>
#include <deque>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
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
#include "runtime/record/schema.h"

namespace weir {

/// How values of T become bytes, on the wire and in state. A specialisation has
///   static void Write(ByteWriter&, const T&);
///   static bool Read(ByteReader&, T&);   // false on malformed input; the value is any then
///   static Schema GetSchema();
/// and, if its values own memory, may have
///   static size_t OwnedBytes(const T&);  // what a value holds beyond sizeof(T), about
/// Numbers, strings, times, standard containers, optionals, variants, tuples, shared_ptr<const T>,
/// aggregates of such types and classes with WEIR_FIELDS have one already; protobuf_serde.h has one
/// for Protobuf messages; a user's own type may specialise it. Stateless, so safe from any thread.
template <class T>
struct Serde;

template <class T>
concept Serializable = requires(ByteWriter& writer, ByteReader& reader, const T& in, T& out) {
  Serde<T>::Write(writer, in);
  { Serde<T>::Read(reader, out) } -> std::same_as<bool>;
};

namespace internal {

// Hash maps and sets of any library, so that none has to be included here.
template <class T>
concept HashTable = requires {
  typename T::key_type;
  typename T::hasher;
  typename T::key_equal;
};
template <class T>
concept HashMap = HashTable<T> && requires { typename T::mapped_type; };
template <class T>
concept HashSet = HashTable<T> && std::is_same_v<typename T::key_type, typename T::value_type>;

template <class T>
constexpr Schema::Kind ArithmeticKind() {
  if constexpr (std::is_same_v<T, bool>) {
    return Schema::Kind::kBool;
  } else if constexpr (std::is_floating_point_v<T>) {
    return sizeof(T) == 4 ? Schema::Kind::kFloat : Schema::Kind::kDouble;
  } else {
    constexpr int kSizeLog2 = sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3;
    const auto base = std::is_signed_v<T> ? Schema::Kind::kInt8 : Schema::Kind::kUInt8;
    return static_cast<Schema::Kind>(static_cast<int>(base) + kSizeLog2);
  }
}

// Whether T's bytes in memory are its serialised form: fixed-width fields in order, no padding.
// Such values are copied in bulk.
template <class T>
constexpr bool IsMemoryImage() {
  if constexpr (std::is_same_v<T, bool> || std::is_floating_point_v<T>) {
    return !std::is_same_v<T, bool> && !std::is_same_v<T, long double>;
  } else if constexpr (std::is_integral_v<T> || std::is_enum_v<T>) {
    return true;
  } else if constexpr (std::is_same_v<T, EventTime>) {
    return true;
  } else if constexpr (ReflectableAggregate<T> && std::is_trivially_copyable_v<T> &&
                       requires { typename Serde<T>::ReflectedByWeir; }) {
    return []<size_t... kIndexes>(std::index_sequence<kIndexes...>) {
      return (IsMemoryImage<boost::pfr::tuple_element_t<kIndexes, T>>() && ...) &&
             (sizeof(boost::pfr::tuple_element_t<kIndexes, T>) + ... + 0) == sizeof(T);
    }(std::make_index_sequence<boost::pfr::tuple_size_v<T>>{});
  } else {
    return false;
  }
}

// The fewest bytes that a value takes, so that a damaged count cannot ask for more elements than
// there are bytes. 0 where it is not known.
template <class T>
constexpr size_t MinSerializedBytes() {
  if constexpr (std::is_arithmetic_v<T> || IsMemoryImage<T>()) {
    return sizeof(T);
  } else if constexpr (requires { Serde<T>::kMinBytes; }) {
    return Serde<T>::kMinBytes;
  } else {
    return 0;
  }
}

// Elements that may take no bytes cannot be more than this, or than there are bytes: what a damaged
// count may cost.
inline constexpr uint64_t kMaxElementsWithoutBytes = uint64_t{1} << 24;

template <class... Ts>
bool ReadElementCount(ByteReader& reader, uint64_t* count) {
  constexpr size_t kMinBytes = (MinSerializedBytes<Ts>() + ...);
  if (!reader.ReadCount(count, kMinBytes)) return false;
  return kMinBytes > 0 || *count <= kMaxElementsWithoutBytes || *count <= reader.remaining() ||
         reader.Fail();
}

// The schema of an opaque type whose values are written as those of Ts, one after another.
template <class... Ts>
Schema OpaqueSchemaAs(std::string name) {
  Schema layout{Schema::Kind::kStruct, "", {SchemaField{"", Serde<Ts>::GetSchema(), ""}...}};
  return {Schema::Kind::kOpaque, std::move(name), {SchemaField{"", std::move(layout), ""}}};
}

template <class T>
struct IsArray : std::false_type {};
template <class T, size_t kSize>
struct IsArray<std::array<T, kSize>> : std::true_type {};

template <class T>
struct IsVariant : std::false_type {};
template <class... Ts>
struct IsVariant<std::variant<Ts...>> : std::true_type {};

template <class T>
concept ReflectedBySerde = Reflectable<T> && !IsArray<T>::value;

}  // namespace internal

/// Returns the schema of T, with what only this process knows of it: how long an opaque value is.
template <class T>
[[nodiscard]] Schema SchemaOf() {
  Schema schema = Serde<T>::GetSchema();
  if (schema.kind == Schema::Kind::kOpaque && schema.fields.empty()) {
    schema.skip = [](ByteReader& reader) {
      T value{};
      return Serde<T>::Read(reader, value);
    };
  }
  return schema;
}

/// Serialises `value` into a string of its own.
template <Serializable T>
[[nodiscard]] std::string ToBytes(const T& value) {
  std::string bytes;
  ByteWriter writer(&bytes);
  Serde<T>::Write(writer, value);
  return bytes;
}

/// Reads a value that fills `bytes` exactly; false if it does not.
template <Serializable T>
[[nodiscard]] bool FromBytes(std::string_view bytes, T& value) {
  ByteReader reader(bytes);
  return Serde<T>::Read(reader, value) && reader.remaining() == 0;
}

template <class T>
  requires std::is_arithmetic_v<T>
struct Serde<T> {
  static void Write(ByteWriter& writer, T value) { writer.WriteFixed(value); }
  static bool Read(ByteReader& reader, T& value) { return reader.ReadFixed(&value); }
  static Schema GetSchema() { return {internal::ArithmeticKind<T>(), "", {}}; }
};

template <class T>
  requires std::is_enum_v<T>
struct Serde<T> {
  using Underlying = std::underlying_type_t<T>;
  static void Write(ByteWriter& writer, T value) {
    writer.WriteFixed(static_cast<Underlying>(value));
  }
  static bool Read(ByteReader& reader, T& value) {
    Underlying raw{};
    if (!reader.ReadFixed(&raw)) return false;
    value = static_cast<T>(raw);
    return true;
  }
  static Schema GetSchema() { return Serde<Underlying>::GetSchema(); }
};

template <>
struct Serde<EventTime> {
  static constexpr size_t kMinBytes = 8;
  static void Write(ByteWriter& writer, EventTime value) { writer.WriteFixed(value.millis()); }
  static bool Read(ByteReader& reader, EventTime& value) {
    int64_t millis = 0;
    if (!reader.ReadFixed(&millis)) return false;
    value = EventTime::FromMillis(millis);
    return true;
  }
  static Schema GetSchema() { return {Schema::Kind::kEventTime, "", {}}; }
};

/// Seconds since the Unix epoch, rounded down, and quarters of a nanosecond; the infinities are the
/// seconds' limits.
template <>
struct Serde<absl::Duration> {
  static constexpr size_t kMinBytes = 12;
  static void Write(ByteWriter& writer, absl::Duration value) {
    const auto [seconds, ticks] = Split(value);
    writer.WriteFixed(seconds);
    writer.WriteFixed(ticks);
  }
  static bool Read(ByteReader& reader, absl::Duration& value) {
    int64_t seconds = 0;
    uint32_t ticks = 0;
    if (!reader.ReadFixed(&seconds) || !reader.ReadFixed(&ticks)) return false;
    return Join(seconds, ticks, value) || reader.Fail();
  }
  static Schema GetSchema() { return internal::OpaqueSchemaAs<int64_t, uint32_t>("absl.Duration"); }

  static constexpr uint32_t kTicksPerSecond = 4'000'000'000;
  /// Ordered as the duration is.
  static std::pair<int64_t, uint32_t> Split(absl::Duration value) {
    if (value == absl::InfiniteDuration()) {
      return {std::numeric_limits<int64_t>::max(), std::numeric_limits<uint32_t>::max()};
    }
    if (value == -absl::InfiniteDuration()) return {std::numeric_limits<int64_t>::min(), 0};
    absl::Duration rest;
    int64_t seconds = absl::IDivDuration(value, absl::Seconds(1), &rest);
    if (rest < absl::ZeroDuration()) {
      rest += absl::Seconds(1);
      --seconds;
    }
    return {seconds, static_cast<uint32_t>(rest / (absl::Nanoseconds(1) / 4))};
  }
  /// Returns false if no duration is split so.
  static bool Join(int64_t seconds, uint32_t ticks, absl::Duration& value) {
    if (ticks >= kTicksPerSecond) {
      value = absl::InfiniteDuration();
      return Split(value) == std::pair(seconds, ticks);
    }
    if (seconds == std::numeric_limits<int64_t>::min() && ticks == 0) {
      value = -absl::InfiniteDuration();
    } else {
      value = absl::Seconds(seconds) + ticks * (absl::Nanoseconds(1) / 4);
    }
    return true;
  }
};

template <>
struct Serde<absl::Time> {
  static constexpr size_t kMinBytes = 12;
  static void Write(ByteWriter& writer, absl::Time value) {
    Serde<absl::Duration>::Write(writer, value - absl::UnixEpoch());
  }
  static bool Read(ByteReader& reader, absl::Time& value) {
    absl::Duration since_epoch;
    if (!Serde<absl::Duration>::Read(reader, since_epoch)) return false;
    value = absl::UnixEpoch() + since_epoch;
    return true;
  }
  static Schema GetSchema() { return internal::OpaqueSchemaAs<int64_t, uint32_t>("absl.Time"); }
};

template <>
struct Serde<std::string> {
  static constexpr size_t kMinBytes = 1;
  static void Write(ByteWriter& writer, const std::string& value) { writer.WriteString(value); }
  static bool Read(ByteReader& reader, std::string& value) { return reader.ReadString(&value); }
  static Schema GetSchema() { return {Schema::Kind::kString, "", {}}; }
};

namespace internal {

template <class Container>
void WriteElements(ByteWriter& writer, const Container& container) {
  writer.WriteVarint(container.size());
  for (const auto& element : container) {
    Serde<std::remove_cvref_t<decltype(element)>>::Write(writer, element);
  }
}

template <class Set>
bool ReadSet(ByteReader& reader, Set& set) {
  uint64_t count = 0;
  if (!ReadElementCount<typename Set::value_type>(reader, &count)) return false;
  set.clear();
  for (uint64_t i = 0; i < count; ++i) {
    typename Set::value_type element{};
    if (!Serde<typename Set::value_type>::Read(reader, element)) return false;
    set.insert(std::move(element));
  }
  return true;
}

template <class Sequence>
bool ReadSequence(ByteReader& reader, Sequence& sequence) {
  using Element = typename Sequence::value_type;
  uint64_t count = 0;
  if (!ReadElementCount<Element>(reader, &count)) return false;
  sequence.clear();
  if constexpr (requires { sequence.reserve(count); }) {
    // No more memory than there are bytes to read.
    sequence.reserve(std::min<uint64_t>(count, reader.remaining() / sizeof(Element) + 1));
  }
  for (uint64_t i = 0; i < count; ++i) {
    Element element{};
    if (!Serde<Element>::Read(reader, element)) return false;
    sequence.push_back(std::move(element));
  }
  return true;
}

template <class Map>
void WriteMap(ByteWriter& writer, const Map& map) {
  writer.WriteVarint(map.size());
  for (const auto& [key, value] : map) {
    Serde<typename Map::key_type>::Write(writer, key);
    Serde<typename Map::mapped_type>::Write(writer, value);
  }
}

template <class Map>
bool ReadMap(ByteReader& reader, Map& map) {
  uint64_t count = 0;
  if (!ReadElementCount<typename Map::key_type, typename Map::mapped_type>(reader, &count)) {
    return false;
  }
  map.clear();
  for (uint64_t i = 0; i < count; ++i) {
    typename Map::key_type key{};
    typename Map::mapped_type value{};
    if (!Serde<typename Map::key_type>::Read(reader, key) ||
        !Serde<typename Map::mapped_type>::Read(reader, value)) {
      return false;
    }
    map.emplace(std::move(key), std::move(value));
  }
  return true;
}

template <class... Ts>
Schema ElementSchema(Schema::Kind kind) {
  return {kind, "", {SchemaField{"", SchemaOf<Ts>(), ""}...}};
}

}  // namespace internal

template <class T>
struct Serde<std::vector<T>> {
  static constexpr size_t kMinBytes = 1;
  static void Write(ByteWriter& writer, const std::vector<T>& value) {
    if constexpr (internal::IsMemoryImage<T>()) {
      writer.WriteVarint(value.size());
      writer.WriteBytes(value.data(), value.size() * sizeof(T));
    } else {
      internal::WriteElements(writer, value);
    }
  }
  static bool Read(ByteReader& reader, std::vector<T>& value) {
    if constexpr (internal::IsMemoryImage<T>()) {
      uint64_t count = 0;
      if (!reader.ReadCount(&count, sizeof(T))) return false;
      value.resize(count);
      return reader.ReadBytes(value.data(), count * sizeof(T));
    } else {
      return internal::ReadSequence(reader, value);
    }
  }
  static Schema GetSchema() { return internal::ElementSchema<T>(Schema::Kind::kList); }
};

/// A byte each: its elements are not bools in memory.
template <>
struct Serde<std::vector<bool>> {
  static constexpr size_t kMinBytes = 1;
  static void Write(ByteWriter& writer, const std::vector<bool>& value) {
    writer.WriteVarint(value.size());
    for (const bool element : value) writer.WriteFixed(element);
  }
  static bool Read(ByteReader& reader, std::vector<bool>& value) {
    return internal::ReadSequence(reader, value);
  }
  static Schema GetSchema() { return internal::ElementSchema<bool>(Schema::Kind::kList); }
};

template <class T, size_t kSize>
struct Serde<std::array<T, kSize>> {
  static constexpr size_t kMinBytes = kSize * internal::MinSerializedBytes<T>();
  static void Write(ByteWriter& writer, const std::array<T, kSize>& value) {
    for (const T& element : value) Serde<T>::Write(writer, element);
  }
  static bool Read(ByteReader& reader, std::array<T, kSize>& value) {
    for (T& element : value) {
      if (!Serde<T>::Read(reader, element)) return false;
    }
    return true;
  }
  static Schema GetSchema() {
    Schema schema = internal::ElementSchema<T>(Schema::Kind::kList);
    schema.name = std::to_string(kSize);
    return schema;
  }
};

namespace internal {

template <class Sequence>
struct SequenceSerde {
  static constexpr size_t kMinBytes = 1;
  static void Write(ByteWriter& writer, const Sequence& value) { WriteElements(writer, value); }
  static bool Read(ByteReader& reader, Sequence& value) { return ReadSequence(reader, value); }
  static Schema GetSchema() {
    return ElementSchema<typename Sequence::value_type>(Schema::Kind::kList);
  }
};

template <class Set>
struct SetSerde {
  static constexpr size_t kMinBytes = 1;
  static void Write(ByteWriter& writer, const Set& value) { WriteElements(writer, value); }
  static bool Read(ByteReader& reader, Set& value) { return ReadSet(reader, value); }
  static Schema GetSchema() { return ElementSchema<typename Set::value_type>(Schema::Kind::kList); }
};

template <class Map>
struct MapSerde {
  static constexpr size_t kMinBytes = 1;
  static void Write(ByteWriter& writer, const Map& value) { WriteMap(writer, value); }
  static bool Read(ByteReader& reader, Map& value) { return ReadMap(reader, value); }
  static Schema GetSchema() {
    return ElementSchema<typename Map::key_type, typename Map::mapped_type>(Schema::Kind::kMap);
  }
};

}  // namespace internal

template <class T>
struct Serde<std::deque<T>> : internal::SequenceSerde<std::deque<T>> {};
template <class T>
struct Serde<std::list<T>> : internal::SequenceSerde<std::list<T>> {};

template <class T, class... Rest>
struct Serde<std::set<T, Rest...>> : internal::SetSerde<std::set<T, Rest...>> {};
template <class T, class... Rest>
struct Serde<std::multiset<T, Rest...>> : internal::SetSerde<std::multiset<T, Rest...>> {};
template <internal::HashSet T>
struct Serde<T> : internal::SetSerde<T> {};

template <class K, class V, class... Rest>
struct Serde<std::map<K, V, Rest...>> : internal::MapSerde<std::map<K, V, Rest...>> {};
template <class K, class V, class... Rest>
struct Serde<std::multimap<K, V, Rest...>> : internal::MapSerde<std::multimap<K, V, Rest...>> {};
template <internal::HashMap T>
struct Serde<T> : internal::MapSerde<T> {};

/// A value that many records or states share, e.g. a large parsed rule: written as an optional,
/// read as a value of its own.
template <class T>
struct Serde<std::shared_ptr<const T>> {
  static constexpr size_t kMinBytes = 1;
  static void Write(ByteWriter& writer, const std::shared_ptr<const T>& value) {
    writer.WriteFixed(value != nullptr);
    if (value != nullptr) Serde<T>::Write(writer, *value);
  }
  static bool Read(ByteReader& reader, std::shared_ptr<const T>& value) {
    bool present = false;
    if (!reader.ReadFixed(&present)) return false;
    value = nullptr;
    if (!present) return true;
    auto read = std::make_shared<T>();
    if (!Serde<T>::Read(reader, *read)) return false;
    value = std::move(read);
    return true;
  }
  static Schema GetSchema() { return internal::ElementSchema<T>(Schema::Kind::kOptional); }
};

template <class T>
struct Serde<std::optional<T>> {
  static constexpr size_t kMinBytes = 1;
  static void Write(ByteWriter& writer, const std::optional<T>& value) {
    writer.WriteFixed(value.has_value());
    if (value.has_value()) Serde<T>::Write(writer, *value);
  }
  static bool Read(ByteReader& reader, std::optional<T>& value) {
    bool present = false;
    if (!reader.ReadFixed(&present)) return false;
    value.reset();
    return !present || Serde<T>::Read(reader, value.emplace());
  }
  static Schema GetSchema() { return internal::ElementSchema<T>(Schema::Kind::kOptional); }
};

template <class... Ts>
struct Serde<std::tuple<Ts...>> {
  static constexpr size_t kMinBytes = (internal::MinSerializedBytes<Ts>() + ... + size_t{0});
  static void Write(ByteWriter& writer, const std::tuple<Ts...>& value) {
    std::apply([&](const Ts&... elements) { (Serde<Ts>::Write(writer, elements), ...); }, value);
  }
  static bool Read(ByteReader& reader, std::tuple<Ts...>& value) {
    return std::apply([&](Ts&... elements) { return (Serde<Ts>::Read(reader, elements) && ...); },
                      value);
  }
  static Schema GetSchema() { return internal::ElementSchema<Ts...>(Schema::Kind::kStruct); }
};

template <class A, class B>
struct Serde<std::pair<A, B>> {
  static constexpr size_t kMinBytes =
      internal::MinSerializedBytes<A>() + internal::MinSerializedBytes<B>();
  static void Write(ByteWriter& writer, const std::pair<A, B>& value) {
    Serde<A>::Write(writer, value.first);
    Serde<B>::Write(writer, value.second);
  }
  static bool Read(ByteReader& reader, std::pair<A, B>& value) {
    return Serde<A>::Read(reader, value.first) && Serde<B>::Read(reader, value.second);
  }
  static Schema GetSchema() { return internal::ElementSchema<A, B>(Schema::Kind::kStruct); }
};

template <class... Ts>
struct Serde<std::variant<Ts...>> {
  using Variant = std::variant<Ts...>;
  static_assert(sizeof...(Ts) <= 256, "a variant that travels has at most 256 alternatives");
  static constexpr size_t kMinBytes = 1;
  static void Write(ByteWriter& writer, const Variant& value) {
    writer.WriteFixed(static_cast<uint8_t>(value.index()));
    std::visit(
        [&](const auto& alternative) {
          Serde<std::remove_cvref_t<decltype(alternative)>>::Write(writer, alternative);
        },
        value);
  }
  static bool Read(ByteReader& reader, Variant& value) {
    uint8_t index = 0;
    if (!reader.ReadFixed(&index) || index >= sizeof...(Ts)) return reader.Fail();
    return [&]<size_t... kIndexes>(std::index_sequence<kIndexes...>) {
      bool read = false;
      (void)((index == kIndexes &&
              (read = Serde<Ts>::Read(reader, value.template emplace<kIndexes>()), true)) ||
             ...);
      return read;
    }(std::index_sequence_for<Ts...>{});
  }
  static Schema GetSchema() { return internal::ElementSchema<Ts...>(Schema::Kind::kVariant); }
};

template <>
struct Serde<std::monostate> {
  static void Write(ByteWriter&, std::monostate) {}
  static bool Read(ByteReader&, std::monostate&) { return true; }
  static Schema GetSchema() { return {Schema::Kind::kStruct, "", {}}; }
};

template <internal::ReflectedBySerde T>
struct Serde<T> {
  /// Tells this Serde from one that a user wrote for the type, whose bytes may be any.
  using ReflectedByWeir = void;
  static void Write(ByteWriter& writer, const T& value) {
    if constexpr (internal::IsMemoryImage<T>()) {
      writer.WriteBytes(&value, sizeof(T));
    } else {
      ForEachField(value, [&](const auto& field) {
        using Field = std::remove_cvref_t<decltype(field)>;
        static_assert(Serializable<Field>,
                      "a field of this type has no Serde: use a type that has one, or specialise "
                      "weir::Serde for the field's type");
        if constexpr (Serializable<Field>) Serde<Field>::Write(writer, field);
      });
    }
  }
  static bool Read(ByteReader& reader, T& value) {
    if constexpr (internal::IsMemoryImage<T>()) {
      return reader.ReadBytes(&value, sizeof(T));
    } else {
      bool read = true;
      ForEachField(value, [&](auto& field) {
        using Field = std::remove_cvref_t<decltype(field)>;
        if constexpr (Serializable<Field>) read = read && Serde<Field>::Read(reader, field);
      });
      return read;
    }
  }
  static Schema GetSchema() {
    static_assert(FieldAliasesAreSound<T>(),
                  "WEIR_FIELD_ALIASES(name = earlier_name, ...) takes names of fields, and earlier "
                  "names that no field has now");
    Schema schema{Schema::Kind::kStruct, "", {}};
    const auto names = FieldNames<T>();
    T defaults{};
    size_t index = 0;
    ForEachField(defaults, [&](auto& field) {
      using Field = std::remove_cvref_t<decltype(field)>;
      if constexpr (Serializable<Field>) {
        SchemaField described{std::string(names[index++]), SchemaOf<Field>(), ToBytes(field)};
        ForEachFieldAlias<T>([&](std::string_view name, std::string_view earlier) {
          if (name == described.name) described.aliases.emplace_back(earlier);
        });
        schema.fields.push_back(std::move(described));
      }
    });
    return schema;
  }
};

/// Estimates the heap bytes that a value owns beyond sizeof(T), for the memory budget and batch
/// limits.
template <class T>
size_t OwnedBytes(const T& value) {
  if constexpr (internal::IsMemoryImage<T>() || std::is_arithmetic_v<T>) {
    return 0;
  } else if constexpr (requires { Serde<T>::OwnedBytes(value); }) {
    return Serde<T>::OwnedBytes(value);
  } else if constexpr (std::is_same_v<T, std::string>) {
    return value.capacity() > 15 ? value.capacity() + 1 : 0;
  } else if constexpr (std::is_same_v<T, std::vector<bool>>) {
    return value.capacity() / 8;
  } else if constexpr (internal::IsVariant<T>::value) {
    return value.valueless_by_exception()
               ? 0
               : std::visit([](const auto& alternative) { return OwnedBytes(alternative); }, value);
  } else if constexpr (requires { value.use_count(); }) {
    return value == nullptr ? 0 : sizeof(*value) + OwnedBytes(*value);
  } else if constexpr (!internal::IsArray<T>::value && requires {
                         value.begin();
                         value.end();
                         value.size();
                       }) {
    size_t bytes = value.size() * sizeof(typename T::value_type);
    if constexpr (!internal::IsMemoryImage<typename T::value_type>()) {
      for (const auto& element : value) bytes += OwnedBytes(element);
    }
    return bytes;
  } else if constexpr (requires {
                         value.has_value();
                         *value;
                       }) {
    return value.has_value() ? OwnedBytes(*value) : 0;
  } else if constexpr (requires {
                         value.first;
                         value.second;
                       }) {
    return OwnedBytes(value.first) + OwnedBytes(value.second);
  } else if constexpr (internal::ReflectedBySerde<T>) {
    size_t bytes = 0;
    ForEachField(value, [&](const auto& field) { bytes += OwnedBytes(field); });
    return bytes;
  } else if constexpr (requires { std::tuple_size<T>::value; }) {
    return std::apply(
        [](const auto&... elements) { return (OwnedBytes(elements) + ... + size_t{0}); }, value);
  } else {
    return 0;
  }
}

}  // namespace weir
