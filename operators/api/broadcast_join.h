#pragma once

#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "operators/api/broadcast_stream.h"
#include "operators/api/functions.h"
#include "operators/api/join_functions.h"
#include "runtime/record/key_codec.h"
#include "runtime/state/object_table.h"

namespace weir {

namespace internal {

/// Keeps a broadcast table in broadcast state, and meets each record with its key's row.
template <JoinType kType, class T, class B, class Out, class Fn, class KeyFn, class TableKeyFn,
          class K>
class BroadcastJoinFunction final : public BroadcastProcessFunction<T, B, Out> {
 public:
  using Row = RowOf<B>;
  BroadcastJoinFunction(Fn fn, KeyFn key_of, TableKeyFn table_key_of)
      : fn_(std::move(fn)), key_of_(std::move(key_of)), table_key_of_(std::move(table_key_of)) {}

  absl::Status Open(OpenContext& context) override {
    auto rows = context.GetBroadcastState(BroadcastStateDescriptor<K, Row>{"join-table"});
    if (!rows.ok()) return rows.status();
    rows_.emplace(*rows);
    index_ = std::make_shared<Index>(/*track_changes=*/false);
    for (const auto& [key, row] : rows_->entries()) index_->Mutable(KeyHash(key), key) = &row;
    return absl::OkStatus();
  }
  void ProcessElement(const T& value, FunctionContext&, Collector<Out>& out) override {
    const K& key = key_of_(value);
    const Row* const* row = index_->Find(KeyHash(key), key);
    if (row != nullptr) {
      out.Collect(CallJoin(fn_, &value, *row));
    } else if constexpr (IsLeftOuter(kType)) {
      out.Collect(CallJoin(fn_, &value, static_cast<const Row*>(nullptr)));
    }
  }
  void ProcessBroadcastElement(const B& record, FunctionContext&, Collector<Out>&) override {
    const RowKind kind = KindOf(record);
    if (kind == RowKind::kUpdateBefore) return;  // The row that follows says all.
    const K key = table_key_of_(RowIn(record));
    if (IsAccumulate(kind)) {
      Row& row = rows_->Mutable(key);
      row = RowIn(record);
      index_->Mutable(KeyHash(key), key) = &row;
    } else {
      index_->Erase(KeyHash(key), key);
      rows_->Remove(key);
    }
  }

 private:
  // Broadcast state is in order; one look-up a record wants a hash. Rows stay where they are.
  using Index = ObjectTable<K, VoidNamespace, const Row*>;

  Fn fn_;
  KeyFn key_of_;
  TableKeyFn table_key_of_;
  std::optional<BroadcastState<K, Row>> rows_;
  std::shared_ptr<Index> index_;  // Made in Open: this subtask's alone.
};

}  // namespace internal

/// A stream and a table that every subtask has a copy of: small, and looked up without sending the
/// stream by key. A record of the table replaces its key's row; if it is a ChangelogRecord, -D
/// removes the row and -U means nothing. A record of the stream meets the row that is there when it
/// comes: the table's later rows change nothing for it, and what is there then depends on timing,
/// but for StartAfterTable.
template <JoinType kType, class T, class B>
class BroadcastJoined {
  static_assert(kType == JoinType::kInner || kType == JoinType::kLeftOuter,
                "a broadcast join is inner or left outer: rows are not records of their own");

 public:
  using Row = internal::RowOf<B>;

  explicit BroadcastJoined(BroadcastConnectedStream<T, B> connected)
      : connected_(std::move(connected)) {}

  /// Reads no record before the table's stream has caught up with what was there at the start.
  [[nodiscard]] BroadcastJoined StartAfterTable() const {
    return BroadcastJoined(connected_.StartAfterBroadcast());
  }

  /// key_of(const T&) and table_key_of(const Row&) return keys of one type; fn(const T&, const
  /// Row&) -> Out, of an outer join fn(const T*, const Row*) -> Out, null for a missing row. Row is
  /// B, or the row of a ChangelogRecord.
  template <class KeyFn, class TableKeyFn, class Fn, class Out = internal::JoinResult<Fn, T, Row>>
  DataStream<Out> Apply(KeyFn key_of, TableKeyFn table_key_of, Fn fn,
                        CallSite at = CallSite::current()) const {
    using K = std::decay_t<std::invoke_result_t<KeyFn&, const T&>>;
    static_assert(std::is_same_v<std::decay_t<std::invoke_result_t<TableKeyFn&, const Row&>>, K>,
                  "stream and table must have keys of the same type");
    static_assert(internal::IsJoinFunction<kType, Fn, T, Row>(),
                  "an outer join's function takes pointers, null for what is missing");
    DataStream<Out> joined = connected_.Process(
        internal::BroadcastJoinFunction<kType, T, B, Out, Fn, KeyFn, TableKeyFn, K>(
            std::move(fn), std::move(key_of), std::move(table_key_of)),
        at);
    joined.Name("BroadcastJoin");
    return joined;
  }

 private:
  BroadcastConnectedStream<T, B> connected_;
};

}  // namespace weir
