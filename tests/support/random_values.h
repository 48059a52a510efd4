#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "runtime/record/event_time.h"
#include "runtime/record/reflection.h"

namespace weir {

/// Makes random values of any type that a stream may carry: small ones, so that equal values and
/// equal prefixes are common, and now and then the limits of a type.
class RandomValues {
 public:
  explicit RandomValues(uint64_t seed) : random_(seed) {}

  [[nodiscard]] uint64_t Below(uint64_t limit) { return random_() % limit; }

  template <class T>
  [[nodiscard]] T Make() {
    T value{};
    Fill(value);
    return value;
  }

  template <class T>
  void Fill(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      value = Below(2) == 1;
    } else if constexpr (std::is_floating_point_v<T>) {
      value = static_cast<T>(static_cast<int64_t>(random_())) / 7;
    } else if constexpr (std::is_integral_v<T>) {
      value = Integer<T>();
    } else if constexpr (std::is_enum_v<T>) {
      value = static_cast<T>(Below(3));
    } else if constexpr (std::is_same_v<T, EventTime>) {
      value = EventTime::FromMillis(Integer<int64_t>());
    } else if constexpr (std::is_same_v<T, absl::Duration>) {
      value = MakeDuration();
    } else if constexpr (std::is_same_v<T, absl::Time>) {
      value = absl::UnixEpoch() + MakeDuration();
    } else if constexpr (std::is_same_v<T, std::string>) {
      // Zero bytes, and bytes that follow them in encodings.
      static constexpr std::array<char, 5> kLetters = {'\0', '\x01', '\xff', 'a', 'b'};
      value.resize(Below(4));
      for (char& c : value) c = kLetters[Below(kLetters.size())];
      if (Below(20) == 0) value.append(200, 'x');
    } else if constexpr (requires {
                           value.has_value();
                           value.emplace();
                         }) {
      if (Below(3) > 0) Fill(value.emplace());
    } else if constexpr (requires {
                           value.index();
                           value.valueless_by_exception();
                         }) {
      FillVariant(value, std::make_index_sequence<std::variant_size_v<T>>{});
    } else if constexpr (requires { value.use_count(); }) {
      using Element = std::remove_const_t<typename T::element_type>;
      if (Below(3) > 0) value = std::make_shared<Element>(Make<Element>());
    } else if constexpr (requires { typename T::mapped_type; }) {
      for (uint64_t i = Below(4); i > 0; --i) {
        auto key = Make<typename T::key_type>();
        value.insert({std::move(key), Make<typename T::mapped_type>()});
      }
    } else if constexpr (requires { typename T::key_type; }) {
      for (uint64_t i = Below(4); i > 0; --i) value.insert(Make<typename T::key_type>());
    } else if constexpr (requires { value.push_back(Make<typename T::value_type>()); }) {
      for (uint64_t i = Below(4); i > 0; --i) value.push_back(Make<typename T::value_type>());
    } else if constexpr (requires { std::tuple_size<T>::value; }) {
      std::apply([&](auto&... elements) { (Fill(elements), ...); }, value);
    } else if constexpr (!std::is_same_v<T, std::monostate>) {
      ForEachField(value, [&](auto& field) { Fill(field); });
    }
  }

 private:
  template <class T>
  T Integer() {
    switch (Below(8)) {
      case 0:
        return std::numeric_limits<T>::min();
      case 1:
        return std::numeric_limits<T>::max();
      case 2:
        return static_cast<T>(random_());
      default:
        return static_cast<T>(static_cast<int>(Below(5)) - 2);
    }
  }
  absl::Duration MakeDuration() {
    switch (Below(8)) {
      case 0:
        return absl::InfiniteDuration();
      case 1:
        return -absl::InfiniteDuration();
      case 2:
        return absl::Nanoseconds(static_cast<int64_t>(random_()));
      default:
        return absl::Seconds(static_cast<int64_t>(Below(3)) - 1) +
               static_cast<int64_t>(Below(3)) * (absl::Nanoseconds(1) / 4);
    }
  }
  template <class Variant, size_t... kIndexes>
  void FillVariant(Variant& value, std::index_sequence<kIndexes...>) {
    const uint64_t index = Below(sizeof...(kIndexes));
    ((index == kIndexes ? Fill(value.template emplace<kIndexes>()) : void()), ...);
  }

  std::mt19937_64 random_;
};

}  // namespace weir
