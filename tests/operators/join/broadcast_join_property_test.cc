#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <set>
#include <vector>

#include "operators/api/broadcast_join.h"
#include "operators/testing/operator_test_harness.h"
#include "runtime/base/strings.h"
#include "tests/operators/join/join_test_records.h"
#include "tests/support/seeds.h"

namespace weir {
namespace {

using Change = ChangelogRecord<OtherRow>;
using Harness = TwoInputOperatorTestHarness<Row, Change, Met>;

template <JoinType kType>
DataStream<Met> Join(const DataStream<Row>& rows, const DataStream<Change>& table) {
  const auto key_of = [](const Row& row) { return row.key; };
  const auto table_key_of = [](const OtherRow& row) { return row.key; };
  const auto joined = rows.template BroadcastJoin<kType>(table.Broadcast()).StartAfterTable();
  if constexpr (kType == JoinType::kInner) {
    return joined.Apply(key_of, table_key_of, MeetInner).Uid("join");
  } else {
    return joined.Apply(key_of, table_key_of, MeetOuter).Uid("join");
  }
}

template <JoinType kType>
void RunSeed(unsigned seed) {
  std::mt19937 random(seed);
  const auto below = [&](uint32_t limit) { return static_cast<int64_t>(random() % limit); };
  const auto make = [&] {
    OperatorTestOptions options;
    options.parallelism = static_cast<uint32_t>(1 + below(4));
    if (below(2) == 0) options.output_capacity = static_cast<size_t>(1 + below(3));
    return std::make_unique<Harness>(
        [](DataStream<Row> rows, DataStream<Change> table) { return Join<kType>(rows, table); },
        options);
  };
  auto harness = make();
  std::map<int64_t, int64_t> table;  // Key and the id of its row.
  bool caught_up = false;
  std::vector<std::pair<Row, int64_t>> waiting;  // For the table to catch up.
  std::multiset<TimedMet> expected;
  std::multiset<TimedMet> results;
  const auto expect = [&](const Row& row, int64_t time_ms) {
    const auto found = table.find(row.key);
    if (found != table.end()) {
      expected.emplace(Met{row.id, found->second}, time_ms);
    } else if (IsLeftOuter(kType)) {
      expected.emplace(Met{row.id, -1}, time_ms);
    }
  };
  const auto collect = [&] {
    ASSERT_TRUE(harness->status().ok()) << harness->status();
    for (const StreamRecord<Met>& record : harness->TakeRecords()) {
      results.emplace(record.value, record.timestamp.millis());
    }
    ASSERT_EQ(results, expected);
  };
  const auto catch_up = [&] {
    harness->ProcessCaughtUp2();
    caught_up = true;
    for (const auto& [row, time_ms] : waiting) expect(row, time_ms);
    waiting.clear();
  };
  for (int64_t id = 0; id < 200 && !::testing::Test::HasFailure(); ++id) {
    const int64_t key = below(6);
    if (below(2) == 0) {
      harness->ProcessElement1({key, id}, id);
      if (caught_up) {
        expect({key, id}, id);
      } else {
        waiting.push_back({{key, id}, id});
      }
    } else {
      constexpr RowKind kKinds[] = {RowKind::kInsert, RowKind::kUpdateBefore, RowKind::kUpdateAfter,
                                    RowKind::kDelete};
      const RowKind kind = kKinds[below(4)];
      harness->ProcessElement2({kind, {"row", key, id}}, id);
      if (IsAccumulate(kind)) table[key] = id;
      if (kind == RowKind::kDelete) table.erase(key);
    }
    if (!caught_up && below(20) == 0) catch_up();
    if (!caught_up || below(25) != 0) continue;
    collect();
    const OperatorTestSnapshot snapshot = harness->Snapshot();
    harness->ProcessElement2({RowKind::kInsert, {"lost", 0, 1000}}, id);
    harness = make();
    harness->Restore(snapshot);
    caught_up = false;
    if (below(2) == 0) catch_up();
  }
  if (!caught_up) catch_up();
  collect();
}

TEST(BroadcastJoinPropertyTest, EachRecordMeetsTheRowThatIsThereThroughRestores) {
  for (unsigned seed = 1; seed <= NumSeeds(200) && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(StrCat("seed=", seed));
    if (seed % 2 == 0) {
      RunSeed<JoinType::kInner>(seed);
    } else {
      RunSeed<JoinType::kLeftOuter>(seed);
    }
  }
}

}  // namespace
}  // namespace weir
