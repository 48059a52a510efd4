#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "runtime/record/key_codec.h"
#include "runtime/state/object_table.h"

namespace weir {
namespace {

using Table = ObjectTable<int64_t, int32_t, std::string>;
using Place = std::pair<int64_t, int32_t>;

// A database in plain containers, which counts what is asked of it.
class FakeColdEntries final : public internal::ColdEntries<int64_t, int32_t, std::string> {
 public:
  bool UnderPressure() override { return under_pressure; }
  [[nodiscard]] bool NearLimit() const override { return false; }
  [[nodiscard]] bool CanWrite() const override { return can_write; }
  bool Read(uint64_t, const int64_t& key, const int32_t& ns, std::string& value) override {
    EXPECT_TRUE(batch_.empty());
    ++num_reads;
    const auto found = rows.find({key, ns});
    if (found == rows.end()) return false;
    value = found->second;
    return true;
  }
  void Put(uint64_t, const int64_t& key, const int32_t& ns, const std::string& value) override {
    EXPECT_TRUE(can_write);
    batch_.emplace_back(Place(key, ns), value);
  }
  void Delete(uint64_t, const int64_t& key, const int32_t& ns) override {
    EXPECT_TRUE(can_write);
    batch_.emplace_back(Place(key, ns), std::nullopt);
  }
  void Commit() override {
    for (auto& [place, value] : batch_) Apply(place, std::move(value));
    num_writes += batch_.size();
    batch_.clear();
  }
  void CountEvictions(size_t count) override { num_evictions += count; }
  int64_t ForEachTimerAfter(int64_t, size_t, Visitor) override {
    return std::numeric_limits<int64_t>::max();
  }
  void ForEach(KeyGroupRange, Visitor visit) override {
    for (const auto& [place, value] : rows) {
      visit(KeyHash(place.first), place.first, place.second, value);
    }
  }
  void Apply(const Place& place, std::optional<std::string> value) {
    if (value.has_value()) {
      rows[place] = *std::move(value);
    } else {
      rows.erase(place);
    }
  }

  bool under_pressure = true;
  bool can_write = true;
  std::map<Place, std::string> rows;
  size_t num_reads = 0;
  size_t num_writes = 0;
  size_t num_evictions = 0;

 private:
  std::vector<std::pair<Place, std::optional<std::string>>> batch_;
};

// A table, its database and its snapshots beside a plain map of what it must hold.
class Simulation {
 public:
  explicit Simulation(unsigned seed)
      : random_(seed),
        table_(random_() % 2 == 0, &budget_),
        num_keys_(seed % 3 == 0 ? 20'000 : 50) {
    table_.SetColdEntries(&cold_);
  }

  void Step() {
    const auto key = static_cast<int64_t>(random_() % num_keys_);
    const auto ns = static_cast<int32_t>(random_() % 2);
    const uint64_t hash = KeyHash(key);
    const Place place(key, ns);
    switch (random_() % 64) {
      case 0:
        cold_.under_pressure = random_() % 4 != 0;
        break;
      case 1:
        if (num_keys_ < 1'000 || random_() % 8 == 0) Snapshot();  // It compares all.
        break;
      case 2:
        table_.Shed(0, random_() % 1000);
        break;
      case 3:
        if (random_() % 16 == 0) CheckAll();
        break;
      default:
        switch (random_() % 4) {
          case 0:
            ASSERT_EQ(table_.Erase(hash, key, ns), model_.erase(place) > 0);
            break;
          case 1: {
            const std::string* found = table_.Find(hash, key, ns);
            const auto expected = model_.find(place);
            ASSERT_EQ(found != nullptr, expected != model_.end());
            if (found != nullptr) {
              ASSERT_EQ(*found, expected->second);
            }
            break;
          }
          default:
            Change(hash, place);
        }
    }
  }

  void CheckAll() {
    ASSERT_EQ(table_.size(), model_.size());
    std::map<Place, std::string> contents;
    table_.ForEach([&](uint64_t hash, int64_t key, int32_t ns, const std::string& value) {
      ASSERT_EQ(hash, KeyHash(key));
      ASSERT_TRUE(contents.emplace(Place(key, ns), value).second);
    });
    ASSERT_EQ(contents, model_);
  }
  [[nodiscard]] size_t num_reads() const { return cold_.num_reads; }

 private:
  // Two entries of one key: pointers to both are good until the next key.
  void Change(uint64_t hash, const Place& place) {
    std::string& value = table_.Mutable(hash, place.first, place.second);
    std::string& other = table_.Mutable(hash, place.first, place.second ^ 1);
    value += static_cast<char>('a' + random_() % 26);
    other = std::string(random_() % 40, 'x');
    model_[place] = value;
    model_[{place.first, place.second ^ 1}] = other;
  }

  void Snapshot() {
    if (!frozen_.has_value()) {
      table_.StartTracking();
      frozen_ = table_.BeginSnapshot();
      expected_ = model_;
      cold_.can_write = false;
      return;
    }
    if (!cold_.can_write) {
      if (random_() % 4 == 0) {
        table_.EndSnapshot(*std::exchange(frozen_, std::nullopt), SnapshotResult::kUnknown);
        cold_.can_write = true;
        return;
      }
      for (size_t i = frozen_->size(); i-- > 0;) {  // Of equal keys the live one counts.
        const auto entry = (*frozen_)[i];
        cold_.Apply({entry.key, entry.ns},
                    entry.dead ? std::nullopt : std::optional<std::string>(entry.value));
      }
      // The rows are the state at the time the snapshot began, whatever has left memory.
      ASSERT_EQ(cold_.rows, expected_);
      cold_.can_write = true;
      return;
    }
    table_.EndSnapshot(*std::exchange(frozen_, std::nullopt), SnapshotResult::kWritten);
  }

  std::mt19937 random_;
  MemoryBudget budget_{1};
  FakeColdEntries cold_;
  Table table_;
  const size_t num_keys_;
  std::map<Place, std::string> model_;
  std::map<Place, std::string> expected_;
  std::optional<Table::FrozenEntries> frozen_;
};

TEST(EvictionPropertyTest, EntriesLeaveAndComeBackAndSnapshotsHoldAllOfThem) {
  const char* only = std::getenv("WEIR_TEST_SEED");
  const unsigned first_seed = only == nullptr ? 1 : static_cast<unsigned>(std::atoi(only));
  const unsigned num_seeds = only == nullptr ? 60 : 1;
  size_t num_reads = 0;
  for (unsigned seed = first_seed; seed < first_seed + num_seeds; ++seed) {
    SCOPED_TRACE("WEIR_TEST_SEED=" + std::to_string(seed));
    Simulation simulation(seed);
    const int num_steps = seed % 30 == 0 ? 40'000 : 3'000;
    for (int step = 0; step < num_steps; ++step) {
      simulation.Step();
      ASSERT_FALSE(HasFailure());
    }
    simulation.CheckAll();
    ASSERT_FALSE(HasFailure());
    num_reads += simulation.num_reads();
  }
  EXPECT_GT(num_reads, 10'000u);
}

TEST(EvictionTest, MemoryIsGivenBackAndHotEntriesStay) {
  MemoryBudget budget(1);
  FakeColdEntries cold;
  cold.under_pressure = false;
  Table table(/*track_changes=*/true, &budget);
  table.SetColdEntries(&cold);
  constexpr int64_t kNumKeys = 100'000;
  constexpr int64_t kNumHot = 1'000;
  for (int64_t key = 0; key < kNumKeys; ++key) table.Mutable(KeyHash(key), key, 0) = "value";
  const auto full = static_cast<double>(table.MemoryBytes());
  cold.under_pressure = true;
  for (int round = 0; round < 3 * kNumKeys / 100; ++round) {
    for (int64_t i = 0; i < kNumHot / 10; ++i) {  // Each of them before the hand is round.
      const int64_t key = (round * kNumHot / 10 + i) % kNumHot;
      ASSERT_NE(table.Find(KeyHash(key), key, 0), nullptr);
    }
    table.Shed(0, 100);
    cold.under_pressure = table.NumInMemory() > static_cast<size_t>(2 * kNumHot);
  }
  EXPECT_EQ(table.size(), static_cast<size_t>(kNumKeys));
  EXPECT_LT(table.NumInMemory(), static_cast<size_t>(3 * kNumHot));
  EXPECT_LT(static_cast<double>(table.MemoryBytes()), 0.1 * full);
  EXPECT_LT(cold.num_reads, static_cast<size_t>(kNumHot));
  for (int64_t key = 0; key < kNumKeys; ++key) {
    ASSERT_EQ(*table.Find(KeyHash(key), key, 0), "value");
  }
}

TEST(EvictionTest, ATableThatNothingHasLeftAsksNoDatabase) {
  FakeColdEntries cold;
  cold.under_pressure = false;
  Table table(/*track_changes=*/true);
  table.SetColdEntries(&cold);
  for (int64_t key = 0; key < 1000; ++key) {
    EXPECT_EQ(table.Find(KeyHash(key), key, 0), nullptr);
    table.Mutable(KeyHash(key), key, 0) = "value";
    if (key % 2 == 0) table.Erase(KeyHash(key), key, 0);
  }
  EXPECT_EQ(cold.num_reads, 0u);
  EXPECT_EQ(cold.num_writes, 0u);
}

TEST(EvictionTest, AnUnchangedEntryLeavesWithoutBeingWritten) {
  FakeColdEntries cold;
  cold.under_pressure = false;
  Table table(/*track_changes=*/true);
  table.SetColdEntries(&cold);
  for (int64_t key = 0; key < 100; ++key) table.Mutable(KeyHash(key), key, 0) = "value";
  auto frozen = table.BeginSnapshot();
  for (size_t i = 0; i < frozen.size(); ++i) cold.Apply({frozen[i].key, frozen[i].ns}, "value");
  table.EndSnapshot(std::move(frozen), SnapshotResult::kWritten);
  cold.under_pressure = true;
  table.Shed(0, 1000);
  table.Shed(0, 1000);
  EXPECT_EQ(table.NumInMemory(), 0u);
  EXPECT_EQ(cold.num_writes, 0u);
  EXPECT_EQ(cold.num_evictions, 100u);
  EXPECT_EQ(*table.Find(KeyHash(int64_t{7}), 7, 0), "value");
}

}  // namespace
}  // namespace weir
