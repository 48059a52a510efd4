#include "runtime/state/object_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

using Table = ObjectTable<std::string, VoidNamespace, int64_t>;

int64_t& Mutable(Table& table, const std::string& key) { return table.Mutable(KeyHash(key), key); }
void Erase(Table& table, const std::string& key) { table.Erase(KeyHash(key), key); }

// The frozen entries as the next base would see them: a live entry hides a dead one of its key.
std::map<std::string, std::optional<int64_t>> Read(const Table::FrozenEntries& frozen) {
  std::map<std::string, std::optional<int64_t>> entries;
  for (size_t i = 0; i < frozen.size(); ++i) {
    if (!frozen[i].dead) {
      EXPECT_FALSE(entries.contains(frozen[i].key) && entries[frozen[i].key].has_value());
      entries[frozen[i].key] = frozen[i].value;
    } else {
      entries.try_emplace(frozen[i].key);
    }
  }
  return entries;
}

void Apply(const std::string& key, const std::optional<int64_t>& value,
           std::map<std::string, int64_t>& base) {
  if (value.has_value()) {
    base[key] = *value;
  } else {
    base.erase(key);
  }
}

TEST(ObjectTableTest, FindsWhatWasPutIn) {
  ObjectTable<std::string, int32_t, int64_t> table(/*track_changes=*/false);
  const std::string key = "host";
  const uint64_t hash = KeyHash(key);
  EXPECT_EQ(table.Find(hash, key, 1), nullptr);
  table.Mutable(hash, key, 1) = 10;
  table.Mutable(hash, key, 2) = 20;
  EXPECT_EQ(*table.Find(hash, key, 1), 10);
  EXPECT_EQ(*table.Find(hash, key, 2), 20);
  EXPECT_TRUE(table.Erase(hash, key, 1));
  EXPECT_FALSE(table.Erase(hash, key, 1));
  EXPECT_EQ(table.Find(hash, key, 1), nullptr);
  EXPECT_EQ(table.FindMutable(hash, key, 1), nullptr);
  EXPECT_EQ(table.size(), 1u);
}

TEST(ObjectTableTest, TellsKeysWithEqualHashesApart) {
  ObjectTable<int64_t, VoidNamespace, int64_t> table(/*track_changes=*/false);
  for (int64_t key = 0; key < 100; ++key) table.Mutable(7, key) = key;
  for (int64_t key = 0; key < 100; key += 2) EXPECT_TRUE(table.Erase(7, key));
  for (int64_t key = 0; key < 100; ++key) {
    const int64_t* value = table.Find(7, key);
    ASSERT_EQ(value != nullptr, key % 2 == 1);
    if (value != nullptr) {
      EXPECT_EQ(*value, key);
    }
  }
}

TEST(ObjectTableTest, SnapshotHoldsWhatChangedSinceTheLast) {
  Table table(/*track_changes=*/true);
  Mutable(table, "a") = 1;
  Mutable(table, "b") = 2;
  auto first = table.BeginSnapshot();
  EXPECT_THAT(Read(first), ElementsAre(Pair("a", 1), Pair("b", 2)));
  table.EndSnapshot(std::move(first), SnapshotResult::kWritten);

  Mutable(table, "b") = 3;
  Erase(table, "a");
  auto second = table.BeginSnapshot();
  EXPECT_THAT(Read(second), ElementsAre(Pair("a", std::nullopt), Pair("b", 3)));
  table.EndSnapshot(std::move(second), SnapshotResult::kWritten);

  auto third = table.BeginSnapshot();
  EXPECT_THAT(Read(third), IsEmpty());
  table.EndSnapshot(std::move(third), SnapshotResult::kWritten);
}

TEST(ObjectTableTest, FrozenEntriesKeepTheirValuesWhileTheTableChanges) {
  Table table(/*track_changes=*/true);
  Mutable(table, "changed") = 1;
  Mutable(table, "erased") = 2;
  Mutable(table, "replaced") = 3;
  auto frozen = table.BeginSnapshot();
  Mutable(table, "changed") = 10;
  Erase(table, "erased");
  Erase(table, "replaced");
  Mutable(table, "replaced") = 30;
  EXPECT_THAT(Read(frozen),
              ElementsAre(Pair("changed", 1), Pair("erased", 2), Pair("replaced", 3)));
  table.EndSnapshot(std::move(frozen), SnapshotResult::kWritten);

  auto next = table.BeginSnapshot();
  EXPECT_THAT(Read(next),
              ElementsAre(Pair("changed", 10), Pair("erased", std::nullopt), Pair("replaced", 30)));
  table.EndSnapshot(std::move(next), SnapshotResult::kWritten);
}

TEST(ObjectTableTest, EntriesMadeAndErasedBetweenSnapshotsLeaveNoTrace) {
  Table table(/*track_changes=*/true);
  Mutable(table, "short-lived") = 1;
  Erase(table, "short-lived");
  auto frozen = table.BeginSnapshot();
  EXPECT_THAT(Read(frozen), IsEmpty());
  table.EndSnapshot(std::move(frozen), SnapshotResult::kWritten);
}

TEST(ObjectTableTest, ChangesOfAFailedSnapshotAreInTheNext) {
  Table table(/*track_changes=*/true);
  for (const char* key : {"kept", "changed", "erased", "gone"}) Mutable(table, key) = 1;
  auto base = table.BeginSnapshot();
  table.EndSnapshot(std::move(base), SnapshotResult::kWritten);

  Mutable(table, "kept") = 2;
  Mutable(table, "changed") = 2;
  Mutable(table, "erased") = 2;
  Mutable(table, "new") = 2;
  Mutable(table, "new and erased") = 2;
  Erase(table, "gone");
  auto failed = table.BeginSnapshot();
  Mutable(table, "changed") = 3;
  Erase(table, "erased");
  Erase(table, "new and erased");
  table.EndSnapshot(std::move(failed), SnapshotResult::kUnknown);

  auto next = table.BeginSnapshot();
  EXPECT_THAT(Read(next), ElementsAre(Pair("changed", 3), Pair("erased", std::nullopt),
                                      Pair("gone", std::nullopt), Pair("kept", 2), Pair("new", 2),
                                      // The failed snapshot may have written it.
                                      Pair("new and erased", std::nullopt)));
  table.EndSnapshot(std::move(next), SnapshotResult::kWritten);
}

TEST(ObjectTableTest, WithoutABaseEverySnapshotHoldsAllEntriesAndNoDeadOnes) {
  Table table(/*track_changes=*/true);
  Mutable(table, "a") = 1;
  Mutable(table, "b") = 2;
  auto first = table.BeginSnapshot();
  Erase(table, "a");
  table.EndSnapshot(std::move(first), SnapshotResult::kNothingWritten);
  Mutable(table, "c") = 3;
  auto second = table.BeginSnapshot();
  EXPECT_THAT(Read(second), ElementsAre(Pair("b", 2), Pair("c", 3)));
  table.EndSnapshot(std::move(second), SnapshotResult::kNothingWritten);
}

TEST(ObjectTableTest, TrackingMayBeginLate) {
  Table table(/*track_changes=*/false);
  Mutable(table, "a") = 1;
  table.StartTracking();
  Mutable(table, "b") = 2;
  auto frozen = table.BeginSnapshot();
  EXPECT_THAT(Read(frozen), ElementsAre(Pair("a", 1), Pair("b", 2)));
  table.EndSnapshot(std::move(frozen), SnapshotResult::kWritten);
}

TEST(ObjectTableTest, FrozenEntriesOutliveTheTable) {
  Table::FrozenEntries frozen;
  {
    Table table(/*track_changes=*/true);
    Mutable(table, "a rather long key that lives on the heap") = 1;
    frozen = table.BeginSnapshot();
  }
  EXPECT_THAT(Read(frozen), ElementsAre(Pair("a rather long key that lives on the heap", 1)));
}

TEST(ObjectTableTest, ReferencesTellWhetherTheirEntryIsStillThere) {
  Table table(/*track_changes=*/true);
  Mutable(table, "a") = 1;
  const auto reference = table.Reference(KeyHash<std::string>("a"), "a");
  EXPECT_TRUE(reference.IsCurrent());
  Erase(table, "a");
  EXPECT_FALSE(reference.IsCurrent());
  Mutable(table, "b") = 1;  // Takes the same place.
  EXPECT_FALSE(reference.IsCurrent());
}

TEST(ObjectTableTest, ChargesItsMemoryAndGivesItBack) {
  MemoryBudget budget(1 << 30);
  {
    ObjectTable<int64_t, VoidNamespace, std::string> table(/*track_changes=*/true, &budget);
    for (int64_t key = 0; key < 10'000; ++key) {
      table.Mutable(KeyHash(key), key) = std::string(1000, 'x');
    }
    EXPECT_GT(budget.used_bytes(), 10'000 * 40);
    auto frozen = table.BeginSnapshot();
    EXPECT_GT(budget.used_bytes(), 10'000 * 900);
    EXPECT_EQ(static_cast<int64_t>(table.MemoryBytes()), budget.used_bytes());
    table.EndSnapshot(std::move(frozen), SnapshotResult::kWritten);
  }
  EXPECT_EQ(budget.used_bytes(), 0);
}

// Applies what a snapshot wrote to a plain map, the base, and demands that base and table agree
// whenever everything was written.
TEST(ObjectTableTest, BaseAndTableAgreeAfterRandomOperations) {
  for (unsigned seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed=" + std::to_string(seed));
    std::mt19937 random(seed);
    Table table(/*track_changes=*/true);
    std::map<std::string, int64_t> model;
    std::map<std::string, int64_t> base;
    bool has_base = false;
    std::optional<Table::FrozenEntries> frozen;
    std::map<std::string, int64_t> at_snapshot;
    for (int step = 0; step < 500; ++step) {
      const std::string key = "key" + std::to_string(random() % 20);
      switch (random() % 12) {
        case 0:
          if (!frozen.has_value()) {
            frozen = table.BeginSnapshot();
            at_snapshot = model;
            break;
          }
          if (random() % 3 == 0 && !has_base) {
            std::map<std::string, int64_t> all;
            for (const auto& [k, v] : Read(*frozen)) {
              if (v.has_value()) all[k] = *v;
            }
            ASSERT_EQ(all, at_snapshot);
            table.EndSnapshot(*std::move(frozen), SnapshotResult::kNothingWritten);
          } else if (random() % 3 == 0) {
            has_base = true;
            for (const auto& [k, v] : Read(*frozen)) {
              if (random() % 2 == 0) continue;  // Written in part.
              Apply(k, v, base);
            }
            table.EndSnapshot(*std::move(frozen), SnapshotResult::kUnknown);
          } else {
            has_base = true;
            for (const auto& [k, v] : Read(*frozen)) {
              Apply(k, v, base);
            }
            ASSERT_EQ(base, at_snapshot);
            table.EndSnapshot(*std::move(frozen), SnapshotResult::kWritten);
          }
          frozen.reset();
          break;
        case 1:
        case 2:
        case 3:
        case 4:
          ASSERT_EQ(table.Erase(KeyHash(key), key), model.erase(key) > 0);
          break;
        default:
          Mutable(table, key) = model[key] = static_cast<int64_t>(random());
      }
      ASSERT_EQ(table.size(), model.size());
    }
    std::map<std::string, int64_t> contents;
    table.ForEach([&](uint64_t hash, const std::string& key, VoidNamespace, int64_t value) {
      EXPECT_EQ(hash, KeyHash(key));
      contents[key] = value;
    });
    ASSERT_EQ(contents, model);
  }
}

}  // namespace
}  // namespace weir
