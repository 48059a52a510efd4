#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/time/time.h"
#include "operators/api/data_stream.h"
#include "operators/api/join_functions.h"
#include "operators/api/stream_origin.h"
#include "operators/join/interval_join_operator.h"
#include "operators/process/element_operators.h"

namespace weir {

/// Two keyed streams whose records meet if they have one key and their event times lie close:
///
///     clicks.IntervalJoin(purchases).Between(absl::ZeroDuration(), absl::Minutes(10)).Apply(fn)
///
/// finds for each click the purchases up to ten minutes after it. A result's event time is the
/// later one of its two records; a record that an outer side emits unmatched keeps its own. Event
/// time only: a record without one fails the job, a late one (at or before the watermark) is
/// dropped, counted in numLateRecordsDropped, and put out under a tag if one is set.
///
/// State is each record for as long as another may match it; a small interval and little disorder
/// keep it small. An outer side holds the output's watermark back by the time that its unmatched
/// records wait.
template <JoinType kType, class T1, class T2, class K, class KeyFn1, class KeyFn2>
class IntervalJoined {
 public:
  IntervalJoined(internal::StreamOrigin left, KeyFn1 left_key_of, internal::StreamOrigin right,
                 KeyFn2 right_key_of)
      : left_(std::move(left)),
        right_(std::move(right)),
        left_key_of_(std::move(left_key_of)),
        right_key_of_(std::move(right_key_of)) {}

  /// right.time lies in [left.time + lower, left.time + upper]. Whole milliseconds; either may be
  /// negative. The job fails at its start if `lower` is above `upper`.
  [[nodiscard]] IntervalJoined Between(absl::Duration lower, absl::Duration upper) const {
    IntervalJoined joined = *this;
    joined.options_.lower_ms = Millis(lower);
    joined.options_.upper_ms = Millis(upper);
    return joined;
  }
  /// Takes the bound itself out of the interval. After Between.
  [[nodiscard]] IntervalJoined LowerBoundExclusive() const {
    IntervalJoined joined = *this;
    ++joined.options_.lower_ms;
    return joined;
  }
  [[nodiscard]] IntervalJoined UpperBoundExclusive() const {
    IntervalJoined joined = *this;
    --joined.options_.upper_ms;
    return joined;
  }
  /// Puts late records out under a tag, for GetSideOutput of the result.
  [[nodiscard]] IntervalJoined SideOutputLeftLateData(const OutputTag<T1>& tag) const {
    IntervalJoined joined = *this;
    joined.options_.left_late_tag = tag.name();
    return joined;
  }
  [[nodiscard]] IntervalJoined SideOutputRightLateData(const OutputTag<T2>& tag) const {
    IntervalJoined joined = *this;
    joined.options_.right_late_tag = tag.name();
    return joined;
  }

  /// A ProcessJoinFunction<T1, T2, Out>.
  template <class Fn>
  DataStream<typename Fn::OutputRecord> Process(Fn fn, CallSite at = CallSite::current()) const {
    static_assert(std::is_same_v<typename Fn::Left, T1> && std::is_same_v<typename Fn::Right, T2>,
                  "the function's records are not the streams'");
    using Out = typename Fn::OutputRecord;
    using Operator = internal::IntervalJoinOperator<kType, Fn, KeyFn1, KeyFn2, K>;
    auto side_outputs = std::make_shared<internal::SideOutputs>();
    return DataStream<Out>(internal::AddTwoInputOperator<Out>(
        left_.ReadAt(at), right_, /*start_after=*/false, "IntervalJoin",
        internal::MakeOperatorFactory([fn = std::move(fn), left = left_key_of_,
                                       right = right_key_of_, options = options_, side_outputs] {
          return std::make_unique<Operator>(fn, left, right, options, side_outputs);
        }),
        side_outputs));
  }
  /// fn(const T1&, const T2&) -> Out; of an outer join fn(const T1*, const T2*) -> Out, null for
  /// what is missing.
  template <class Fn, class Out = internal::JoinResult<Fn, T1, T2>>
  DataStream<Out> Apply(Fn fn, CallSite at = CallSite::current()) const {
    static_assert(internal::IsJoinFunction<kType, Fn, T1, T2>(),
                  "an outer join's function takes pointers, null for what is missing");
    return Process(internal::JoinLambda<T1, T2, Out, Fn>(std::move(fn)), at);
  }

 private:
  // Bounds that can be added to each other and negated.
  static int64_t Millis(absl::Duration duration) {
    return std::clamp(absl::ToInt64Milliseconds(duration), INT64_MIN / 4, INT64_MAX / 4);
  }

  internal::StreamOrigin left_;
  internal::StreamOrigin right_;
  KeyFn1 left_key_of_;
  KeyFn2 right_key_of_;
  internal::IntervalJoinOptions options_;
};

}  // namespace weir
