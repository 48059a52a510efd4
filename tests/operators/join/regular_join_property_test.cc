#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <set>
#include <vector>

#include "operators/api/stream_environment.h"
#include "operators/testing/operator_test_harness.h"
#include "runtime/base/strings.h"
#include "tests/operators/join/join_test_records.h"
#include "tests/support/seeds.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

using LeftChange = ChangelogRecord<Row>;
using RightChange = ChangelogRecord<OtherRow>;
using MetChange = ChangelogRecord<Met>;
using Harness = TwoInputOperatorTestHarness<LeftChange, RightChange, MetChange>;

constexpr auto kLeftKey = [](const LeftChange& change) { return change.row.key; };
constexpr auto kRightKey = [](const RightChange& change) { return change.row.key; };

template <JoinType kType>
DataStream<MetChange> Join(const DataStream<LeftChange>& left, const DataStream<RightChange>& right,
                           absl::Duration ttl) {
  const auto joined =
      left.KeyBy(kLeftKey).template RegularJoin<kType>(right.KeyBy(kRightKey)).WithTtl(ttl);
  if constexpr (kType == JoinType::kInner) {
    return joined.Apply(MeetInner);
  } else {
    return joined.Apply(MeetOuter);
  }
}

/// The two tables as they are, and their join by nested loops.
struct Model {
  JoinType type;
  std::multiset<Row> left;
  std::multiset<OtherRow> right;

  [[nodiscard]] std::multiset<Met> Joined() const {
    std::multiset<Met> joined;
    for (const Row& l : left) {
      bool matched = false;
      for (const OtherRow& r : right) {
        if (l.key != r.key) continue;
        joined.insert({l.id, r.id});
        matched = true;
      }
      if (!matched && IsLeftOuter(type)) joined.insert({l.id, -1});
    }
    for (const OtherRow& r : right) {
      bool matched = false;
      for (const Row& l : left) matched = matched || l.key == r.key;
      if (!matched && IsRightOuter(type)) joined.insert({-1, r.id});
    }
    return joined;
  }
};

uint64_t num_cold_reads = 0;  // Of all seeds, of rows that had left memory.

template <JoinType kType>
void RunSeed(unsigned seed) {
  std::mt19937 random(seed);
  const auto below = [&](int64_t limit) {
    return static_cast<int64_t>(random() % static_cast<unsigned long>(limit));
  };
  const auto make = [&] {
    OperatorTestOptions options;
    options.parallelism = static_cast<uint32_t>(1 + below(3));
    if (below(2) == 0) options.output_capacity = static_cast<size_t>(1 + below(3));
    if (seed % 9 == 0) options.state_memory_bytes = 1;
    return std::make_unique<Harness>(
        [&](DataStream<LeftChange> left, DataStream<RightChange> right) {
          return Join<kType>(left, right, absl::InfiniteDuration());
        },
        options);
  };
  auto harness = make();
  Model model{kType, {}, {}};
  std::multiset<Met> table;
  uint64_t unknown_retractions = 0;
  const auto apply = [&] {
    ASSERT_TRUE(harness->status().ok()) << harness->status();
    for (const MetChange& change : harness->TakeValues()) {
      if (change.kind == RowKind::kInsert) {
        table.insert(change.row);
      } else {
        ASSERT_EQ(change.kind, RowKind::kDelete);
        const auto found = table.find(change.row);
        ASSERT_NE(found, table.end()) << "takes back what is not there: " << change.row;
        table.erase(found);
      }
    }
    ASSERT_EQ(table, model.Joined());
  };
  // Few ids, so that equal rows come twice and rows that are not there are taken back.
  for (int step = 0; step < 150; ++step) {
    const Row row{below(3), below(6)};
    const OtherRow other{"r", below(3), 10 + below(6)};
    const bool adds = below(5) < 3;
    const RowKind kind = adds ? (below(2) == 0 ? RowKind::kInsert : RowKind::kUpdateAfter)
                              : (below(2) == 0 ? RowKind::kDelete : RowKind::kUpdateBefore);
    const auto change = [&](auto& side, const auto& value) {
      if (adds) {
        side.insert(value);
      } else if (const auto found = side.find(value); found != side.end()) {
        side.erase(found);
      } else {
        ++unknown_retractions;
      }
    };
    if (below(2) == 0) {
      harness->ProcessElement1({kind, row});
      change(model.left, row);
    } else {
      harness->ProcessElement2({kind, other});
      change(model.right, other);
    }
    if (seed % 9 == 0) harness->ProcessWatermark(step);  // Lets rows leave.
    ASSERT_NO_FATAL_FAILURE(apply());
    if (below(25) == 0) {
      EXPECT_EQ(harness->CounterValue("numUnknownRetractions"), unknown_retractions);
      unknown_retractions = 0;
      const OperatorTestSnapshot snapshot = harness->Snapshot();
      harness->ProcessElement1({RowKind::kInsert, {0, 1000}});  // Lost with the harness.
      harness = make();
      harness->Restore(snapshot);
    }
  }
  EXPECT_EQ(harness->NumKeyedStateEntries(), model.left.size() + model.right.size());
  num_cold_reads += harness->CounterValue("state.rocksdbGetsFound");
}

TEST(RegularJoinPropertyTest, TheChangelogIsTheJoinOfBothTablesAfterEachChange) {
  for (unsigned seed = 1; seed <= NumSeeds(160) && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(StrCat("seed=", seed));
    switch (seed % 4) {
      case 0:
        RunSeed<JoinType::kInner>(seed);
        break;
      case 1:
        RunSeed<JoinType::kLeftOuter>(seed);
        break;
      case 2:
        RunSeed<JoinType::kRightOuter>(seed);
        break;
      default:
        RunSeed<JoinType::kFullOuter>(seed);
    }
  }
  EXPECT_GT(num_cold_reads, 0U);
}

TEST(RegularJoinPropertyTest, AnInnerJoinOfPlainStreamsIsAPlainStream) {
  TwoInputOperatorTestHarness<Row, OtherRow, Met> harness(
      [](DataStream<Row> left, DataStream<OtherRow> right) {
        return left.KeyBy([](const Row& row) { return row.key; })
            .RegularJoin(right.KeyBy([](const OtherRow& row) { return row.key; }))
            .Apply(MeetInner);
      });
  harness.ProcessElement1({1, 10}, 5);
  harness.ProcessElement2({"", 1, 20}, 3);
  harness.ProcessElement2({"", 2, 21}, 3);
  harness.ProcessElement1({1, 11}, 1000);
  const auto records = harness.TakeRecords();
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(records[0], (StreamRecord<Met>{{10, 20}, EventTime::FromMillis(3), 0}));
  EXPECT_EQ(records[1], (StreamRecord<Met>{{11, 20}, EventTime::FromMillis(1000), 0}));
}

TEST(RegularJoinPropertyTest, RowsRunOutOfTimeAndNothingIsTakenBackForThem) {
  Harness harness([](DataStream<LeftChange> left, DataStream<RightChange> right) {
    return Join<JoinType::kLeftOuter>(left, right, absl::Milliseconds(80));
  });
  const auto insert = [](int64_t left, int64_t right) {
    return MetChange{RowKind::kInsert, {left, right}};
  };
  const auto erase = [](int64_t left, int64_t right) {
    return MetChange{RowKind::kDelete, {left, right}};
  };
  harness.ProcessElement2({RowKind::kInsert, {"", 1, 20}});
  harness.SetProcessingTime(50);
  harness.ProcessElement1({RowKind::kInsert, {1, 10}});
  EXPECT_THAT(harness.TakeValues(), ElementsAre(insert(10, 20)));
  // At 80 the right row is gone: it meets nothing more, cannot be taken back, and the pair stays.
  harness.SetProcessingTime(80);
  harness.ProcessElement2({RowKind::kDelete, {"", 1, 20}});
  EXPECT_THAT(harness.TakeValues(), IsEmpty());
  EXPECT_EQ(harness.CounterValue("numUnknownRetractions"), 1U);
  harness.ProcessElement1({RowKind::kInsert, {1, 11}});
  EXPECT_THAT(harness.TakeValues(), ElementsAre(insert(11, -1)));
  // The first left row was never put out as unmatched, so only the second is taken back.
  harness.ProcessElement2({RowKind::kInsert, {"", 1, 21}});
  EXPECT_THAT(harness.TakeValues(), ElementsAre(insert(10, 21), erase(11, -1), insert(11, 21)));
  const OperatorTestSnapshot snapshot = harness.Snapshot();
  // Untouched keys are cleaned up by timers, an eighth of the time to live late at most.
  harness.SetProcessingTime(80 + 80 + 10);
  EXPECT_EQ(harness.NumKeyedStateEntries(), 0U);
  EXPECT_EQ(harness.NumProcessingTimeTimers(), 0U);

  Harness restored([](DataStream<LeftChange> left, DataStream<RightChange> right) {
    return Join<JoinType::kLeftOuter>(left, right, absl::Milliseconds(80));
  });
  restored.Restore(snapshot);
  restored.SetProcessingTime(155);
  restored.ProcessElement2({RowKind::kInsert, {"", 1, 22}});
  EXPECT_THAT(restored.TakeValues(), ElementsAre(insert(11, 22)));
}

}  // namespace
}  // namespace weir
