#pragma once

#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "operators/api/data_stream.h"
#include "operators/api/join_functions.h"
#include "operators/api/stream_origin.h"
#include "operators/join/temporal_join_operator.h"
#include "operators/process/element_operators.h"

namespace weir {

/// A keyed stream and a versioned table: each record of the first meets the version of its key's
/// row that was valid at the record's event time, e.g. orders with the exchange rate of their time.
///
/// A record of the second stream makes the row's version from its event time on; of equal times the
/// one that comes last holds. If it is a ChangelogRecord, +I and +U do, -D deletes the row from
/// then on, and -U means nothing. Results have the first record's event time and come when the
/// watermark is there. An outer join (left only) also puts out records for which there was no row.
///
/// A late record of the first stream is dropped, counted in numLateRecordsDropped, and put out
/// under a tag if one is set. A late version replaces the one that is valid at the watermark,
/// unless it is older than that. State is the records that wait for the watermark and, per key, the
/// versions from the one valid at the watermark on.
template <JoinType kType, class T1, class T2, class K, class KeyFn1, class KeyFn2>
class TemporalJoined {
  static_assert(kType == JoinType::kInner || kType == JoinType::kLeftOuter,
                "a temporal join is inner or left outer: versions are not records of their own");

 public:
  using Row2 = internal::RowOf<T2>;

  TemporalJoined(internal::StreamOrigin left, KeyFn1 left_key_of, internal::StreamOrigin right,
                 KeyFn2 right_key_of)
      : left_(std::move(left)),
        right_(std::move(right)),
        left_key_of_(std::move(left_key_of)),
        right_key_of_(std::move(right_key_of)) {}

  /// Puts late records out under a tag, for GetSideOutput of the result.
  [[nodiscard]] TemporalJoined SideOutputLateData(const OutputTag<T1>& tag) const {
    TemporalJoined joined = *this;
    joined.late_tag_ = tag.name();
    return joined;
  }

  /// A ProcessJoinFunction<T1, Row2, Out>; Row2 is T2, or T of a ChangelogRecord<T>.
  template <class Fn>
  DataStream<typename Fn::OutputRecord> Process(Fn fn, CallSite at = CallSite::current()) const {
    static_assert(std::is_same_v<typename Fn::Left, T1> && std::is_same_v<typename Fn::Right, Row2>,
                  "the function's records are not the streams'");
    using Out = typename Fn::OutputRecord;
    using Operator = internal::TemporalJoinOperator<kType, Fn, T2, KeyFn1, KeyFn2, K>;
    auto side_outputs = std::make_shared<internal::SideOutputs>();
    return DataStream<Out>(internal::AddTwoInputOperator<Out>(
        left_.ReadAt(at), right_, /*start_after=*/false, "TemporalJoin",
        internal::MakeOperatorFactory([fn = std::move(fn), left = left_key_of_,
                                       right = right_key_of_, late_tag = late_tag_, side_outputs] {
          return std::make_unique<Operator>(fn, left, right, late_tag, side_outputs);
        }),
        side_outputs));
  }
  /// fn(const T1&, const Row2&) -> Out; of an outer join fn(const T1*, const Row2*) -> Out, null
  /// for what is missing.
  template <class Fn, class Out = internal::JoinResult<Fn, T1, internal::RowOf<T2>>>
  DataStream<Out> Apply(Fn fn, CallSite at = CallSite::current()) const {
    static_assert(internal::IsJoinFunction<kType, Fn, T1, Row2>(),
                  "an outer join's function takes pointers, null for what is missing");
    return Process(internal::JoinLambda<T1, Row2, Out, Fn>(std::move(fn)), at);
  }

 private:
  internal::StreamOrigin left_;
  internal::StreamOrigin right_;
  KeyFn1 left_key_of_;
  KeyFn2 right_key_of_;
  std::optional<std::string> late_tag_;
};

}  // namespace weir
