#pragma once

#include <memory>
#include <utility>

#include "absl/time/time.h"
#include "operators/api/data_stream.h"
#include "operators/api/join_functions.h"
#include "operators/api/stream_origin.h"
#include "operators/join/regular_join_operator.h"
#include "operators/process/element_operators.h"

namespace weir {

/// Two keyed streams as tables that are joined on their key, at any distance in time: every row of
/// one meets every row of the other with its key. An input of ChangelogRecord<T> adds rows (+I, +U)
/// and takes them back (-U, -D; the row whose fields are equal); any other input only adds.
///
/// The result is DataStream<Out> for an inner join of plain inputs. Any other is a
/// DataStream<ChangelogRecord<Out>> of +I and -D, whatever the kinds of the inputs:
///   - a row comes: +I for each pair with a row of the other side; of an outer side, +I with null
///     if there is none; and before its first match +I(l, r), a row l that was put out as (l, null)
///     is taken back by -D(l, null);
///   - a row is taken back: -D for each of its pairs, or for (l, null); a row of an outer side
///     whose last match went comes again as +I(l, null);
///   - taking back a row that is not there does nothing and is counted in numUnknownRetractions.
/// The function is called again for what is taken back, and must return the same for the same rows.
/// A result has the event time of the record that caused it; lateness means nothing here.
///
/// State is every row, for ever or for the time to live. A row that runs out of time (processing
/// time since it came) meets nothing more, and nothing is taken back for it.
template <JoinType kType, class T1, class T2, class K, class KeyFn1, class KeyFn2>
class RegularJoined {
 public:
  RegularJoined(internal::StreamOrigin left, KeyFn1 left_key_of, internal::StreamOrigin right,
                KeyFn2 right_key_of)
      : left_(std::move(left)),
        right_(std::move(right)),
        left_key_of_(std::move(left_key_of)),
        right_key_of_(std::move(right_key_of)) {}

  /// How long a row is kept, in processing time from when it came.
  [[nodiscard]] RegularJoined WithTtl(absl::Duration ttl) const {
    RegularJoined joined = *this;
    joined.ttl_ = ttl;
    return joined;
  }

  /// fn(const Row1&, const Row2&) -> Out; of an outer join fn(const Row1*, const Row2*) -> Out,
  /// null for what is missing. Row1 is T1, or T of a ChangelogRecord<T>; likewise Row2.
  template <class Fn,
            class Out = internal::JoinResult<Fn, internal::RowOf<T1>, internal::RowOf<T2>>>
  DataStream<internal::RegularJoinRecord<kType, T1, T2, Out>> Apply(
      Fn fn, CallSite at = CallSite::current()) const {
    static_assert(internal::IsJoinFunction<kType, Fn, internal::RowOf<T1>, internal::RowOf<T2>>(),
                  "an outer join's function takes pointers, null for what is missing");
    using Result = internal::RegularJoinRecord<kType, T1, T2, Out>;
    using Operator = internal::RegularJoinOperator<kType, T1, T2, Out, Fn, KeyFn1, KeyFn2, K>;
    return DataStream<Result>(internal::AddTwoInputOperator<Result>(
        left_.ReadAt(at), right_, /*start_after=*/false, "RegularJoin",
        internal::MakeOperatorFactory(
            [fn = std::move(fn), left = left_key_of_, right = right_key_of_, ttl = ttl_] {
              return std::make_unique<Operator>(fn, left, right, ttl);
            })));
  }

 private:
  internal::StreamOrigin left_;
  internal::StreamOrigin right_;
  KeyFn1 left_key_of_;
  KeyFn2 right_key_of_;
  absl::Duration ttl_ = absl::InfiniteDuration();
};

}  // namespace weir
