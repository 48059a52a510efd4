#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include "operators/api/functions.h"
#include "runtime/record/event_time.h"
#include "runtime/record/serde.h"
#include "runtime/task/collector.h"

namespace weir {

/// Which records of a join's inputs appear in its result though nothing matches them.
enum class JoinType : uint8_t {
  kInner,       ///< None.
  kLeftOuter,   ///< Those of the first stream.
  kRightOuter,  ///< Those of the second stream.
  kFullOuter,   ///< Those of both.
};

[[nodiscard]] constexpr bool IsLeftOuter(JoinType type) {
  return type == JoinType::kLeftOuter || type == JoinType::kFullOuter;
}
[[nodiscard]] constexpr bool IsRightOuter(JoinType type) {
  return type == JoinType::kRightOuter || type == JoinType::kFullOuter;
}

/// What a record says of the row it carries; Flink's kinds, and their short strings.
enum class RowKind : uint8_t {
  kInsert,        ///< +I: the row is new.
  kUpdateBefore,  ///< -U: the row is no longer so; what it has become follows.
  kUpdateAfter,   ///< +U: the row is now so.
  kDelete,        ///< -D: the row is gone.
};

/// Whether the kind adds the row (+I, +U) or takes it back (-U, -D).
[[nodiscard]] constexpr bool IsAccumulate(RowKind kind) {
  return kind == RowKind::kInsert || kind == RowKind::kUpdateAfter;
}

/// One change of a table. A stream of them is a table as it changes: a row is in it once for each
/// time it was added and not taken back.
template <class T>
struct ChangelogRecord {
  RowKind kind = RowKind::kInsert;
  T row{};
  friend auto operator<=>(const ChangelogRecord&, const ChangelogRecord&) = default;
  friend bool operator==(const ChangelogRecord&, const ChangelogRecord&) = default;
};

/// The context of a ProcessJoinFunction. timestamp() is that of the result.
class JoinContext : public FunctionContext {
 public:
  using FunctionContext::FunctionContext;
  /// Event time of the records that meet; Min for one that is missing.
  [[nodiscard]] EventTime left_timestamp() const { return left_; }
  [[nodiscard]] EventTime right_timestamp() const { return right_; }

  /// For operators.
  void set_timestamps(EventTime left, EventTime right) {
    left_ = left;
    right_ = right;
    set_timestamp(left < right ? right : left);
  }

 private:
  EventTime left_ = EventTime::Min();
  EventTime right_ = EventTime::Min();
};

/// A function of the pairs that a join finds.
template <class L, class R, class Out>
class ProcessJoinFunction {
 public:
  using Left = L;
  using Right = R;
  using OutputRecord = Out;
  using Context = JoinContext;
  virtual ~ProcessJoinFunction() = default;
  virtual void ProcessElement(const L& left, const R& right, Context& context,
                              Collector<Out>& out) = 0;
  /// A record of an outer side that nothing matched, and nothing can match any more.
  virtual void ProcessUnmatchedLeft(const L&, Context&, Collector<Out>&) {}
  virtual void ProcessUnmatchedRight(const R&, Context&, Collector<Out>&) {}
};

namespace internal {

template <class T>
struct IsChangelogRecord : std::false_type {
  using Row = T;
};
template <class T>
struct IsChangelogRecord<ChangelogRecord<T>> : std::true_type {
  using Row = T;
};
template <class T>
constexpr bool kIsChangelog = IsChangelogRecord<T>::value;
/// T of a ChangelogRecord<T>, any other type itself.
template <class T>
using RowOf = typename IsChangelogRecord<T>::Row;

template <class T>
const RowOf<T>& RowIn(const T& record) {
  if constexpr (kIsChangelog<T>) {
    return record.row;
  } else {
    return record;
  }
}
template <class T>
RowKind KindOf(const T& record) {
  if constexpr (kIsChangelog<T>) {
    return record.kind;
  } else {
    return RowKind::kInsert;
  }
}

/// A function of an inner join takes references, of an outer one pointers, null for what is
/// missing. Calls either, with further arguments.
template <class Fn, class L, class R, class... More>
decltype(auto) CallJoin(Fn& fn, const L* left, const R* right, More&&... more) {
  if constexpr (std::is_invocable_v<Fn&, const L&, const R&, More...>) {
    return fn(*left, *right, std::forward<More>(more)...);
  } else {
    return fn(left, right, std::forward<More>(more)...);
  }
}

template <JoinType kType, class Fn, class L, class R, class... More>
constexpr bool IsJoinFunction() {
  return (kType == JoinType::kInner && std::is_invocable_v<Fn&, const L&, const R&, More...>) ||
         std::is_invocable_v<Fn&, const L*, const R*, More...>;
}

template <class Fn, class L, class R>
using JoinResult = std::decay_t<decltype(CallJoin(std::declval<Fn&>(), std::declval<const L*>(),
                                                  std::declval<const R*>()))>;

/// A function of a pair that returns one result as a ProcessJoinFunction.
template <class L, class R, class Out, class Fn>
class JoinLambda final : public ProcessJoinFunction<L, R, Out> {
 public:
  explicit JoinLambda(Fn fn) : fn_(std::move(fn)) {}
  void ProcessElement(const L& left, const R& right, JoinContext&, Collector<Out>& out) override {
    out.Collect(CallJoin(fn_, &left, &right));
  }
  void ProcessUnmatchedLeft(const L& left, JoinContext&, Collector<Out>& out) override {
    if constexpr (std::is_invocable_v<Fn&, const L*, const R*>) {
      out.Collect(fn_(&left, static_cast<const R*>(nullptr)));
    }
  }
  void ProcessUnmatchedRight(const R& right, JoinContext&, Collector<Out>& out) override {
    if constexpr (std::is_invocable_v<Fn&, const L*, const R*>) {
      out.Collect(fn_(static_cast<const L*>(nullptr), &right));
    }
  }

 private:
  Fn fn_;
};

}  // namespace internal

}  // namespace weir
