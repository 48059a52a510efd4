#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "operators/testing/manual_clock.h"
#include "runtime/state/internal/state_database.h"
#include "runtime/state/internal/state_expiry.h"
#include "runtime/state/keyed_state_backend.h"
#include "tests/runtime/state/state_test_support.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Backend = KeyedStateBackend<std::string>;
using UpdateType = StateTtlConfig::UpdateType;
using Visibility = StateTtlConfig::StateVisibility;
using Characteristic = StateTtlConfig::TtlTimeCharacteristic;

const StateTtlConfig kTenSeconds{.ttl = absl::Seconds(10)};
const ValueStateDescriptor<int64_t> kCount{"count"};

// All of it with room for state in memory, and with none.
class StateTtlTest : public ::testing::TestWithParam<int64_t>, protected BackendStorage {
 protected:
  std::unique_ptr<Backend> NewBackend() {
    KeyedStateBackendOptions options;
    options.range = {0, 127};
    options.memory_budget = &budget_;
    options.clock = &clock_;
    options.local_dir = NextLocalDir();
    options.inline_limit_bytes = 100;
    return std::make_unique<Backend>(std::move(options));
  }
  // Entries that memory has no room for leave it.
  static void SetKey(Backend& backend, const std::string& key) {
    backend.SetCurrentKey(key, KeyHash(key));
    backend.ShedMemory();
    backend.ShedMemory();
  }

  ManualClock clock_;
  MemoryBudget budget_{GetParam()};
};

TEST_P(StateTtlTest, AValueExpiresAfterItsLastWrite) {
  auto backend = NewBackend();
  auto count = *backend->GetState(kCount.EnableTimeToLive(kTenSeconds));
  SetKey(*backend, "a");
  count.Set(1);
  clock_.Advance(absl::Milliseconds(9'999));
  SetKey(*backend, "a");
  ASSERT_NE(count.Get(), nullptr);
  EXPECT_EQ(*count.Get(), 1);
  clock_.Advance(absl::Milliseconds(1));  // Reading did not begin its life anew.
  SetKey(*backend, "a");
  EXPECT_EQ(count.Get(), nullptr);
  EXPECT_EQ(++count.Mutable(), 1);
  clock_.Advance(absl::Seconds(9));
  ++count.Mutable();
  clock_.Advance(absl::Seconds(9));
  SetKey(*backend, "a");
  EXPECT_EQ(*count.Get(), 2);
}

TEST_P(StateTtlTest, ReadingBeginsALifeAnewIfSoConfigured) {
  StateTtlConfig ttl = kTenSeconds;
  ttl.update_type = UpdateType::kOnReadAndWrite;
  auto backend = NewBackend();
  auto count = *backend->GetState(kCount.EnableTimeToLive(ttl));
  auto list = *backend->GetState(ListStateDescriptor<int64_t>{"list"}.EnableTimeToLive(ttl));
  SetKey(*backend, "a");
  count.Set(1);
  list.Add(5);
  for (int i = 0; i < 5; ++i) {
    clock_.Advance(absl::Seconds(9));
    SetKey(*backend, "a");
    ASSERT_NE(count.Get(), nullptr);
    EXPECT_THAT(list.Get(), ElementsAre(5));
  }
  clock_.Advance(absl::Seconds(10));
  SetKey(*backend, "a");
  EXPECT_EQ(count.Get(), nullptr);
  EXPECT_TRUE(list.empty());
}

TEST_P(StateTtlTest, AnExpiredValueCanBeSeenOnceIfSoConfigured) {
  StateTtlConfig ttl = kTenSeconds;
  ttl.state_visibility = Visibility::kReturnExpiredIfNotCleanedUp;
  auto backend = NewBackend();
  auto count = *backend->GetState(kCount.EnableTimeToLive(ttl));
  auto maximum = *backend->GetState(ReducingStateDescriptor<int64_t>{
      "maximum", [](int64_t& so_far, const int64_t& element) {
        so_far = std::max(so_far, element);
      }}.EnableTimeToLive(ttl));
  SetKey(*backend, "a");
  count.Set(1);
  maximum.Add(-3);
  clock_.Advance(absl::Seconds(10));
  ASSERT_NE(count.Get(), nullptr);
  EXPECT_EQ(count.Get(), nullptr);
  maximum.Add(-7);  // What has expired takes no part.
  EXPECT_EQ(*maximum.Get(), -7);
}

TEST_P(StateTtlTest, ElementsAndEntriesExpireOneByOne) {
  auto backend = NewBackend();
  auto list = *backend->GetState(ListStateDescriptor<bool>{"list"}.EnableTimeToLive(kTenSeconds));
  auto map = *backend->GetState(
      MapStateDescriptor<int32_t, std::string>{"map"}.EnableTimeToLive(kTenSeconds));
  SetKey(*backend, "a");
  list.Add(true);
  map.Put(2, "two");
  map.Put(1, "one");
  clock_.Advance(absl::Seconds(6));
  SetKey(*backend, "a");
  list.Add(false);
  map.Put(2, "again");
  map.Put(3, "three");
  EXPECT_EQ(list.size(), 2u);
  EXPECT_EQ(map.size(), 3u);
  clock_.Advance(absl::Seconds(6));
  SetKey(*backend, "a");
  EXPECT_THAT(list.Get(), ElementsAre(false));
  EXPECT_FALSE(map.Contains(1));
  EXPECT_FALSE(map.Remove(1));
  std::vector<int32_t> user_keys;
  map.ForEach([&](int32_t user_key, const std::string&) { user_keys.push_back(user_key); });
  EXPECT_THAT(user_keys, ElementsAre(2, 3));
  list.Add(true);
  EXPECT_THAT(list.Get(), ElementsAre(false, true));
  clock_.Advance(absl::Seconds(10));
  SetKey(*backend, "a");
  EXPECT_TRUE(list.empty());
  EXPECT_TRUE(map.IsEmpty());
}

TEST_P(StateTtlTest, ReducingAndAggregatingStateBeginAnew) {
  auto backend = NewBackend();
  auto sum = *backend->GetState(ReducingStateDescriptor<int64_t>{
      "sum", [](int64_t& so_far, const int64_t& element) {
        so_far += element;
      }}.EnableTimeToLive(kTenSeconds));
  auto number = *backend->GetState(AggregatingStateDescriptor<std::string, int64_t, int64_t>{
      "number", [](int64_t& so_far, const std::string&) { ++so_far; },
      [](const int64_t& so_far) {
        return so_far;
      }}.EnableTimeToLive(kTenSeconds));
  SetKey(*backend, "a");
  sum.Add(3);
  number.Add("x");
  clock_.Advance(absl::Seconds(6));
  SetKey(*backend, "a");
  sum.Add(4);
  EXPECT_EQ(*sum.Get(), 7);
  clock_.Advance(absl::Seconds(6));
  SetKey(*backend, "a");
  sum.Add(5);
  EXPECT_EQ(*sum.Get(), 12);
  EXPECT_TRUE(number.IsEmpty());
  EXPECT_EQ(number.Get(), 0);
  clock_.Advance(absl::Seconds(10));
  SetKey(*backend, "a");
  sum.Add(1);
  EXPECT_EQ(*sum.Get(), 1);
}

TEST_P(StateTtlTest, ASnapshotHoldsNothingExpiredAndRestoresTheTimes) {
  KeyedStateHandle handle;
  {
    auto backend = NewBackend();
    auto count = *backend->GetState(kCount.EnableTimeToLive(kTenSeconds));
    SetKey(*backend, "old");
    count.Set(1);
    clock_.Advance(absl::Seconds(6));
    SetKey(*backend, "new");
    count.Set(2);
    clock_.Advance(absl::Seconds(6));
    handle = Checkpoint(*backend);
  }
  std::string bytes;
  for (const StateFile& file : handle.files) bytes += file.inline_bytes;
  EXPECT_EQ(bytes.find("old"), std::string::npos);
  auto backend = NewBackend();
  ASSERT_TRUE(backend->Restore({handle}, store_).ok());
  auto count = *backend->GetState(kCount.EnableTimeToLive(kTenSeconds));
  SetKey(*backend, "new");
  ASSERT_NE(count.Get(), nullptr);
  clock_.Advance(absl::Seconds(4));
  EXPECT_EQ(count.Get(), nullptr);
  SetKey(*backend, "old");
  EXPECT_EQ(count.Get(), nullptr);
}

TEST_P(StateTtlTest, WhatNobodyAsksForGoesFromMemoryToo) {
  auto backend = NewBackend();
  auto count = *backend->GetState(kCount.EnableTimeToLive(kTenSeconds));
  auto map =
      *backend->GetState(MapStateDescriptor<int32_t, int32_t>{"map"}.EnableTimeToLive(kTenSeconds));
  const size_t baseline = backend->MemoryBytes();
  for (int i = 0; i < 1000; ++i) {
    const std::string key = "key-" + std::to_string(i);
    backend->SetCurrentKey(key, KeyHash(key));
    count.Set(i);
    map.Put(i, i);
  }
  if (GetParam() > 1) {
    EXPECT_EQ(backend->NumEntries(), 2000u);
  }
  clock_.Advance(absl::Seconds(10));
  backend->SetCurrentKey("none", KeyHash(std::string("none")));
  for (int i = 0; i < 100; ++i) backend->ShedMemory();
  if (GetParam() > 1) {
    EXPECT_EQ(backend->NumEntries(), 0u);
  }
  EXPECT_GT(baseline, 0u);
  // Of a key that is used again and again, and nothing else.
  for (int i = 0; i < 1000; ++i) {
    const std::string key = "other-" + std::to_string(i);
    backend->SetCurrentKey(key, KeyHash(key));
    count.Set(i);
  }
  clock_.Advance(absl::Seconds(10));
  const size_t before = backend->NumEntries();
  for (int i = 0; i < 2000; ++i) count.Set(i);
  if (GetParam() > 1) {
    EXPECT_EQ(before, 1000u);
    EXPECT_EQ(backend->NumEntries(), 1u);
  }
}

TEST_P(StateTtlTest, StateWithTimeToLiveIsNotRestoredAsStateWithout) {
  auto first = NewBackend();
  SetKey(*first, "a");
  first->GetState(kCount)->Set(1);
  const KeyedStateHandle handle = Checkpoint(*first);
  auto second = NewBackend();
  ASSERT_TRUE(second->Restore({handle}, store_).ok());
  const auto state = second->GetState(kCount.EnableTimeToLive(kTenSeconds));
  EXPECT_TRUE(absl::IsFailedPrecondition(state.status())) << state.status();
  EXPECT_THAT(std::string(state.status().message()), HasSubstr("count"));
}

TEST_P(StateTtlTest, RefusesATimeThatIsNotPositive) {
  auto backend = NewBackend();
  for (const absl::Duration ttl : {absl::ZeroDuration(), absl::Seconds(-1), absl::Microseconds(999),
                                   absl::InfiniteDuration()}) {
    const auto state = backend->GetState(kCount.EnableTimeToLive({.ttl = ttl}));
    EXPECT_TRUE(absl::IsInvalidArgument(state.status())) << state.status();
  }
}

// Counts a user's events in sessions of less than a minute between two, live and as a replay.
TEST_P(StateTtlTest, AReplayByEventTimeExpiresWhatLiveProcessingDid) {
  StateTtlConfig ttl{.ttl = absl::Minutes(1), .time_characteristic = Characteristic::kEventTime};
  for (unsigned seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    std::vector<std::pair<int64_t, std::string>> events;
    int64_t now_ms = 1'000'000;
    for (int i = 0; i < 300; ++i) {
      now_ms += static_cast<int64_t>(random() % 20'000);
      events.emplace_back(now_ms, std::string(1, static_cast<char>('a' + random() % 6)));
    }
    const auto run = [&](size_t events_per_watermark) {
      auto backend = NewBackend();
      auto count = *backend->GetState(kCount.EnableTimeToLive(ttl));
      std::vector<int64_t> counts;
      for (size_t i = 0; i < events.size(); ++i) {
        SetKey(*backend, events[i].second);
        backend->SetRecordTime(EventTime::FromMillis(events[i].first));
        counts.push_back(++count.Mutable());
        if ((i + 1) % events_per_watermark == 0) {
          backend->AdvanceWatermark(EventTime::FromMillis(events[i].first - 1));
        }
        if (events_per_watermark == 1) clock_.Advance(absl::Seconds(20));
      }
      return counts;
    };
    std::map<std::string, std::pair<int64_t, int64_t>> model;  // Last event, count.
    std::vector<int64_t> expected;
    for (const auto& [time_ms, user] : events) {
      auto& [last_ms, count] = model[user];
      if (time_ms - last_ms >= 60'000) count = 0;
      last_ms = time_ms;
      expected.push_back(++count);
    }
    const std::vector<int64_t> live = run(1);
    EXPECT_EQ(live, expected);
    EXPECT_EQ(run(100), live);
  }
}

TEST_P(StateTtlTest, ARecordFromBeforeTakesNoLifeAway) {
  StateTtlConfig ttl = kTenSeconds;
  ttl.time_characteristic = Characteristic::kEventTime;
  ttl.update_type = UpdateType::kOnReadAndWrite;
  auto backend = NewBackend();
  auto count = *backend->GetState(kCount.EnableTimeToLive(ttl));
  auto map = *backend->GetState(MapStateDescriptor<int32_t, int32_t>{"map"}.EnableTimeToLive(ttl));
  const auto at = [&](int64_t time_ms) {
    SetKey(*backend, "a");
    backend->SetRecordTime(EventTime::FromMillis(time_ms));
  };
  at(20'000);
  count.Set(1);
  map.Put(1, 1);
  at(12'000);
  ++count.Mutable();
  ++map.Mutable(1);
  EXPECT_EQ(*count.Get(), 2);
  at(29'999);
  ASSERT_NE(count.Get(), nullptr);
  EXPECT_EQ(*count.Get(), 2);
  EXPECT_EQ(*map.Get(1), 2);
}

INSTANTIATE_TEST_SUITE_P(Forms, StateTtlTest, ::testing::Values(int64_t{1} << 40, int64_t{1}),
                         [](const auto& parameter) {
                           return parameter.param == 1 ? "OnDisk" : "InMemory";
                         });

TEST(StateTtlCompactionTest, CompactionDropsWhatHasExpired) {
  TestDirectory directory;
  ManualClock clock;
  const auto time = std::make_shared<internal::StateTime>(&clock);
  const auto rules = std::make_shared<internal::ExpiryRules>();
  rules->Add(EncodeKey(std::string("expiring")),
             std::make_shared<const internal::StateExpiry>(kTenSeconds, time));
  StateTtlConfig by_event_time = kTenSeconds;
  by_event_time.time_characteristic = Characteristic::kEventTime;
  rules->Add(EncodeKey(std::string("event")),
             std::make_shared<const internal::StateExpiry>(by_event_time, time));
  auto database = *internal::StateDatabase::Create(directory.path() + "/database", rules);
  const int64_t now_ms = absl::ToUnixMillis(clock.Now());
  const auto row = [&](const std::string& state, int64_t last_access_ms) {
    const internal::TtlValue<int64_t> value{last_access_ms, 1};
    auto batch = database->NewBatch();
    batch->Put(std::string("\0\1", 2) + EncodeKey(state) + std::to_string(last_access_ms),
               ToBytes(value));
    ASSERT_TRUE(database->Write(*batch).ok());
  };
  for (const char* state : {"event", "expiring", "lasting"}) {
    row(state, now_ms);
    row(state, now_ms + 5'000);
  }
  const auto contents = [&] {
    EXPECT_TRUE(database->Flush().ok());
    EXPECT_TRUE(database->Compact().ok());
    std::map<std::string, int> rows;
    EXPECT_TRUE(database
                    ->ForEach(std::string(1, '\0'), std::string(1, '\1'),
                              [&](std::string_view key, std::string_view) {
                                std::string state;
                                ByteReader reader(key.substr(2));
                                EXPECT_TRUE(KeyCodec<std::string>::Decode(reader, state));
                                ++rows[state];
                                return absl::OkStatus();
                              })
                    .ok());
    return rows;
  };
  using Rows = std::map<std::string, int>;
  EXPECT_EQ(contents(), (Rows{{"event", 2}, {"expiring", 2}, {"lasting", 2}}));
  clock.Advance(absl::Seconds(10));
  EXPECT_EQ(contents(), (Rows{{"event", 2}, {"expiring", 1}, {"lasting", 2}}));
  clock.Advance(absl::Seconds(10));
  time->AdvanceWatermark(EventTime::FromMillis(now_ms + 10'000));
  EXPECT_EQ(contents(), (Rows{{"event", 1}, {"lasting", 2}}));
}

// Entries that a snapshot leaves out because they have expired may leave memory after it.
TEST(StateTtlEvictionTest, AMapForgetsEntriesThatAreOnDiskNoMore) {
  TestDirectory directory;
  UnreliableStore store(directory.path() + "/checkpoints");
  ManualClock clock;
  MemoryBudget budget(int64_t{1} << 20);
  KeyedStateBackendOptions options;
  options.range = {0, 127};
  options.memory_budget = &budget;
  options.clock = &clock;
  options.local_dir = directory.path() + "/local";
  options.inline_limit_bytes = 1;
  Backend backend(std::move(options));
  auto map =
      *backend.GetState(MapStateDescriptor<int32_t, int32_t>{"map"}.EnableTimeToLive(kTenSeconds));
  backend.SetCurrentKey("a", KeyHash(std::string("a")));
  for (int32_t user_key = 1; user_key <= 3; ++user_key) map.Put(user_key, user_key);
  clock.Advance(absl::Seconds(6));
  map.Put(3, 33);
  clock.Advance(absl::Seconds(6));
  auto snapshot = backend.Snapshot(CheckpointId(1));
  ASSERT_TRUE(snapshot->Run(store).ok());
  backend.FinishSnapshot(std::move(snapshot));
  const MemoryCharge pressure(&budget, int64_t{1} << 20);
  backend.ShedMemory();
  backend.ShedMemory();
  std::map<int32_t, int32_t> seen;
  map.ForEach([&](int32_t user_key, int32_t value) { seen[user_key] = value; });
  EXPECT_EQ(seen, (std::map<int32_t, int32_t>{{3, 33}}));
  EXPECT_EQ(map.size(), 1u);
  EXPECT_FALSE(map.Remove(1));
}

}  // namespace
}  // namespace weir
