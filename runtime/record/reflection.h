#pragma once

#include <array>
#include <cstddef>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <boost/pfr/core.hpp>

namespace weir {

/// Lists a class's fields for serialisation where reflection cannot see them (private or inherited
/// members, constructors, C arrays). Stands inside the class: WEIR_FIELDS(host, port).
#define WEIR_FIELDS(...)                                 \
  auto WeirTie() { return std::tie(__VA_ARGS__); }       \
  auto WeirTie() const { return std::tie(__VA_ARGS__); } \
  static constexpr std::string_view WeirFieldNames() { return #__VA_ARGS__; }

/// Lists the names that fields had in earlier versions of a class, new = old, so that old state is
/// restored into them. Stands inside the class, with or without WEIR_FIELDS:
/// WEIR_FIELD_ALIASES(source_port = port, source_port = sport, user = user_name).
#define WEIR_FIELD_ALIASES(...) \
  static constexpr std::string_view WeirFieldAliases() { return #__VA_ARGS__; }

namespace internal {

template <class T>
concept HasWeirFieldAliases = requires {
  { T::WeirFieldAliases() } -> std::convertible_to<std::string_view>;
};

template <class T>
concept HasWeirFields = requires(T& t) {
  t.WeirTie();
  { T::WeirFieldNames() } -> std::convertible_to<std::string_view>;
};

template <class T>
concept ReflectableAggregate = std::is_aggregate_v<T> && std::is_class_v<T>;

// A field's name is read from the compiler's print of a pointer to it. The object is never defined.
template <class T>
struct FieldNameHolder {
  const T value;
};
#if defined(__clang__)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wundefined-var-template"
#pragma clang diagnostic ignored "-Wundefined-internal"
#endif
template <class T>
extern const FieldNameHolder<T> kFieldNameHolder;

template <auto kPointer>
consteval std::string_view FieldNameOfPointer() {
  const std::string_view text = __PRETTY_FUNCTION__;
#if defined(__clang__)
  // "... [kPointer = &kFieldNameHolder.value.port]"
  const size_t end = text.find_last_of(']');
  const size_t begin = text.find_last_of(".>", end) + 1;
#else
  // "... [with auto kPointer = (& kFieldNameHolder<Flow>.FieldNameHolder<Flow>::value.Flow::port);
  // ...]"
  const size_t end = text.rfind(')', text.find("; "));
  const size_t begin = text.find_last_of(":.", end - 1) + 1;
#endif
  return text.substr(begin, end - begin);
}

template <class T, size_t kIndex>
consteval std::string_view AggregateFieldName() {
  return FieldNameOfPointer<&boost::pfr::get<kIndex>(kFieldNameHolder<T>.value)>();
}
#if defined(__clang__)
#pragma clang diagnostic pop
#endif

template <class T, size_t... kIndexes>
constexpr auto AggregateFieldNames(std::index_sequence<kIndexes...>) {
  return std::array<std::string_view, sizeof...(kIndexes)>{AggregateFieldName<T, kIndexes>()...};
}

// Without blanks around it, and without the underscore of a member.
constexpr std::string_view TrimFieldName(std::string_view name) {
  while (!name.empty() && name.front() == ' ') name.remove_prefix(1);
  while (!name.empty() && (name.back() == ' ' || name.back() == '_')) name.remove_suffix(1);
  return name;
}

template <size_t kCount>
constexpr std::array<std::string_view, kCount> SplitFieldNames(std::string_view list) {
  std::array<std::string_view, kCount> names{};
  for (size_t i = 0; i < kCount; ++i) {
    const size_t comma = list.find(',');
    names[i] = TrimFieldName(list.substr(0, comma));
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
  }
  return names;
}

}  // namespace internal

/// True for types whose fields weir can list: aggregates, and classes with WEIR_FIELDS.
template <class T>
concept Reflectable = internal::HasWeirFields<T> || internal::ReflectableAggregate<T>;

template <Reflectable T>
constexpr size_t FieldCount() {
  if constexpr (internal::HasWeirFields<T>) {
    return std::tuple_size_v<decltype(std::declval<T&>().WeirTie())>;
  } else {
    return boost::pfr::tuple_size_v<T>;
  }
}

/// Calls `visit(field)` for each field in order of declaration.
template <class T, class Visitor>
constexpr void ForEachField(T& value, Visitor&& visit) {
  if constexpr (internal::HasWeirFields<std::remove_const_t<T>>) {
    std::apply([&](auto&... fields) { (visit(fields), ...); }, value.WeirTie());
  } else if constexpr (FieldCount<std::remove_const_t<T>>() > 0) {
    std::apply([&](auto&... fields) { (visit(fields), ...); }, boost::pfr::structure_tie(value));
  }
}

/// Returns the fields' names in order of declaration, a trailing underscore removed.
template <Reflectable T>
constexpr std::array<std::string_view, FieldCount<T>()> FieldNames() {
  if constexpr (internal::HasWeirFields<T>) {
    return internal::SplitFieldNames<FieldCount<T>()>(T::WeirFieldNames());
  } else {
    return internal::AggregateFieldNames<T>(std::make_index_sequence<FieldCount<T>()>{});
  }
}

/// Calls `visit(name, earlier_name)` for each alias of WEIR_FIELD_ALIASES in order.
template <Reflectable T, class Visitor>
constexpr void ForEachFieldAlias(Visitor&& visit) {
  if constexpr (internal::HasWeirFieldAliases<T>) {
    std::string_view list = T::WeirFieldAliases();
    while (!list.empty()) {
      const size_t comma = list.find(',');
      const std::string_view alias = list.substr(0, comma);
      const size_t equals = alias.find('=');
      if (equals == std::string_view::npos) {
        visit(internal::TrimFieldName(alias), std::string_view());
      } else {
        visit(internal::TrimFieldName(alias.substr(0, equals)),
              internal::TrimFieldName(alias.substr(equals + 1)));
      }
      list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    }
  }
}

/// Whether each alias names a field of T, and an earlier name that no field of T has now.
template <Reflectable T>
consteval bool FieldAliasesAreSound() {
  const auto names = FieldNames<T>();
  bool sound = true;
  ForEachFieldAlias<T>([&](std::string_view name, std::string_view earlier) {
    bool found = false;
    for (const std::string_view field : names) {
      found = found || field == name;
      sound = sound && field != earlier;
    }
    sound = sound && found && !earlier.empty();
  });
  return sound;
}

}  // namespace weir
