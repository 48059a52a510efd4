#pragma once

#include <concepts>
#include <limits>
#include <type_traits>
#include <utility>

// What Sum, Min, MaxBy and so on do with two records: fold `value` into `accumulated`. Plain
// values; inlined into the operators of keyed streams and of windows.

namespace weir::internal {

/// Adds one field up; the others stay those of the first record. Whole numbers wrap around.
template <class T, class Owner, class Field>
struct SumOf {
  Field Owner::* field;
  void operator()(T& accumulated, const T& value) const {
    if constexpr (std::integral<Field> && !std::same_as<Field, bool>) {
      static_cast<void>(
          __builtin_add_overflow(accumulated.*field, value.*field, &(accumulated.*field)));
    } else {
      accumulated.*field += value.*field;
    }
  }
};

/// Keeps the smallest of one field; the others stay those of the first record.
template <class T, class Owner, class Field>
struct MinOf {
  Field Owner::* field;
  void operator()(T& accumulated, const T& value) const {
    if (value.*field < accumulated.*field) accumulated.*field = value.*field;
  }
};

/// Keeps the largest of one field; the others stay those of the first record.
template <class T, class Owner, class Field>
struct MaxOf {
  Field Owner::* field;
  void operator()(T& accumulated, const T& value) const {
    if (accumulated.*field < value.*field) accumulated.*field = value.*field;
  }
};

/// Keeps the whole record whose field is smallest; of equals the first.
template <class T, class Owner, class Field>
struct MinByOf {
  Field Owner::* field;
  void operator()(T& accumulated, const T& value) const {
    if (value.*field < accumulated.*field) accumulated = value;
  }
};

/// Keeps the whole record whose field is largest; of equals the first.
template <class T, class Owner, class Field>
struct MaxByOf {
  Field Owner::* field;
  void operator()(T& accumulated, const T& value) const {
    if (accumulated.*field < value.*field) accumulated = value;
  }
};

/// Replaces what is accumulated by fn(accumulated, value).
template <class T, class Fn>
struct ReduceOf {
  Fn fn;
  void operator()(T& accumulated, const T& value) {
    accumulated = fn(std::as_const(accumulated), value);
  }
};

}  // namespace weir::internal
