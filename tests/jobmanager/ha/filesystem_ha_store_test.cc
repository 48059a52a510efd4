#include "jobmanager/ha/filesystem_ha_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "operators/testing/manual_clock.h"
#include "runtime/base/strings.h"
#include "tests/support/seeds.h"
#include "tests/support/temporary_folder.h"

namespace weir {
namespace {

using ::testing::HasSubstr;

constexpr absl::Duration kLease = absl::Seconds(5);

class FilesystemHaStoreTest : public testing::Test {
 protected:
  std::unique_ptr<FilesystemHaStore> Open(absl::Duration lease = kLease) {
    FilesystemHaStoreOptions options;
    options.folder = folder_.PathOf("ha");
    options.lease_duration = lease;
    auto store = FilesystemHaStore::Open(options, &clock_);
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }

  TemporaryFolder folder_;
  ManualClock clock_;
};

TEST_F(FilesystemHaStoreTest, WaitsForTheWholeLeaseSinceTheLastSignOfLife) {
  const auto leader = Open();
  const auto standby = Open();
  const LeaderEpoch epoch = **leader->TryAcquire({});
  EXPECT_FALSE(standby->TryAcquire({})->has_value());
  clock_.Advance(kLease - absl::Milliseconds(1));
  EXPECT_FALSE(standby->TryAcquire({})->has_value());
  ASSERT_TRUE(leader->Renew(epoch).ok());
  clock_.Advance(absl::Milliseconds(2));
  EXPECT_FALSE(standby->TryAcquire({})->has_value()) << "a sign of life is seen";
  clock_.Advance(kLease);
  EXPECT_FALSE(standby->TryAcquire({})->has_value());
  clock_.Advance(absl::Milliseconds(1));
  EXPECT_TRUE(standby->TryAcquire({})->has_value());
  EXPECT_FALSE(Open()->TryAcquire({})->has_value()) << "who has just come has seen nothing lapse";
}

TEST_F(FilesystemHaStoreTest, CountsEpochsFromTheClockSoThatAnEmptiedFolderMakesNoOldLeader) {
  const LeaderEpoch first = **Open()->TryAcquire({});
  EXPECT_EQ(first.value(), static_cast<uint64_t>(absl::ToUnixMillis(clock_.Now())) + 1);
  std::filesystem::remove_all(folder_.PathOf("ha"));
  clock_.Advance(absl::Seconds(1));
  EXPECT_GT(**Open()->TryAcquire({}), first);
}

TEST_F(FilesystemHaStoreTest, LetsOneProcessAloneInWithoutWaiting) {
  FilesystemHaStoreOptions options;
  options.folder = folder_.PathOf("ha");
  options.exclusive = true;
  LeaderEpoch last;
  for (int i = 0; i < 3; ++i) {
    const auto store = FilesystemHaStore::Open(options, &clock_);
    ASSERT_TRUE(store.ok()) << store.status();
    const LeaderEpoch epoch = **(*store)->TryAcquire({});
    EXPECT_GT(epoch, last);
    last = epoch;
    const auto second = FilesystemHaStore::Open(options, &clock_);
    EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(second.status().message()), HasSubstr("another JobManager"));
    clock_.SetNow(clock_.Now() - absl::Hours(1));  // However wrong the clock goes.
  }
}

TEST_F(FilesystemHaStoreTest, GoesOnWhereALeaderDiedWhileItTookOver) {
  const auto first = Open();
  const LeaderEpoch epoch = **first->TryAcquire({});
  ASSERT_TRUE(first->Put(epoch, "job-1", "kept").ok());
  // Died after its claim; and one before, in the middle of a write.
  folder_.Write(StrCat("ha/claims/", std::string(7, '0'), epoch.value() + 1), "");
  folder_.Write(StrCat("ha/data-", std::string(7, '0'), epoch.value(), "/.torn.part"), "jo");
  const auto second = Open();
  EXPECT_FALSE(second->TryAcquire({})->has_value());
  clock_.Advance(kLease + absl::Milliseconds(1));
  const LeaderEpoch next = **second->TryAcquire({});
  EXPECT_EQ(next.value(), epoch.value() + 2);
  EXPECT_EQ(second->List(next, "")->at("job-1"), "kept");
  EXPECT_FALSE(std::filesystem::exists(
      folder_.PathOf(StrCat("ha/data-", std::string(7, '0'), next.value(), "/.torn.part"))));
}

TEST_F(FilesystemHaStoreTest, ElectsOneOfSeveralThatBeginTogether) {
  for (int round = 0; round < 20; ++round) {
    std::filesystem::remove_all(folder_.PathOf("ha"));
    std::atomic<int> num_leaders = 0;
    std::atomic<int> num_ready = 0;
    {
      std::vector<std::jthread> threads;
      for (int thread = 0; thread < 4; ++thread) {
        threads.emplace_back([&, store = Open()] {
          ++num_ready;
          while (num_ready < 4) clock_.Advance(absl::Milliseconds(1));  // Each sees another time.
          const auto epoch = store->TryAcquire({});
          ASSERT_TRUE(epoch.ok()) << epoch.status();
          if (epoch->has_value()) ++num_leaders;
        });
      }
    }
    EXPECT_EQ(num_leaders, 1) << "none may depose another at once";
  }
}

// Many leaders, at random, against a plain model.
TEST_F(FilesystemHaStoreTest, RefusesEveryLeaderButTheNewestInAnyOrderOfSteps) {
  for (unsigned seed = 1; seed <= NumSeeds(9); ++seed) {
    SCOPED_TRACE(StrCat("seed=", seed));
    std::mt19937_64 random(seed);
    std::filesystem::remove_all(folder_.PathOf("ha"));
    struct Candidate {
      std::unique_ptr<FilesystemHaStore> store;
      LeaderEpoch epoch;  // 0: never led.
    };
    std::vector<Candidate> candidates;
    for (int i = 0; i < 4; ++i) candidates.push_back({Open(), {}});
    LeaderEpoch newest;
    std::map<std::string, std::string> model;
    for (int step = 0; step < 400; ++step) {
      Candidate& candidate = candidates[random() % candidates.size()];
      const std::string key = StrCat("k", random() % 5);
      const bool leads = candidate.epoch == newest && newest != LeaderEpoch();
      const auto expect = [&](const absl::Status& status) {
        ASSERT_EQ(status.code(), leads ? absl::StatusCode::kOk : absl::StatusCode::kAborted)
            << status << " step=" << step;
      };
      switch (random() % 8) {
        case 0:
        case 1:
          if (leads) break;
          if (const auto epoch = candidate.store->TryAcquire({}); epoch->has_value()) {
            ASSERT_GT(**epoch, newest);
            newest = candidate.epoch = **epoch;
          }
          break;
        case 2:
          clock_.Advance(absl::Seconds(1) * static_cast<int64_t>(random() % 4));
          break;
        case 3:
          if (candidate.epoch != LeaderEpoch()) expect(candidate.store->Renew(candidate.epoch));
          break;
        case 4:
          if (candidate.epoch == LeaderEpoch()) break;
          expect(candidate.store->Remove(candidate.epoch, key));
          if (leads) model.erase(key);
          break;
        case 5:
          if (candidate.epoch != LeaderEpoch()) candidate.store = Open();  // A new process.
          candidate.epoch = {};
          break;
        default:
          if (candidate.epoch == LeaderEpoch()) break;
          expect(candidate.store->Put(candidate.epoch, key, StrCat(step)));
          if (leads) model[key] = StrCat(step);
      }
    }
    clock_.Advance(absl::Hours(1));
    const auto last = Open();
    static_cast<void>(last->TryAcquire({}));
    clock_.Advance(absl::Hours(1));
    const auto epoch = last->TryAcquire({});
    ASSERT_TRUE(epoch->has_value());
    EXPECT_EQ(*last->List(**epoch, ""), model);
  }
}

// Threads as processes, which take the lead from each other all the time.
TEST_F(FilesystemHaStoreTest, LosesNoWriteThatSucceededWhileLeadersAreDeposed) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 40;
  std::vector<std::map<std::string, std::string>> acknowledged(kThreads);
  std::atomic<int> num_terms = 0;
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        // A lease that always has lapsed: others may take over in the midst of every write.
        const auto store = Open(absl::Nanoseconds(-1));
        for (int round = 0; round < kRounds; ++round) {
          const auto epoch = store->TryAcquire({});
          ASSERT_TRUE(epoch.ok()) << epoch.status();
          if (!epoch->has_value()) continue;
          ++num_terms;
          for (int i = 0; i < 5; ++i) {
            const std::string key = StrCat("k", thread, "-", round, "-", i);
            const std::string value = StrCat((*epoch)->value());
            const absl::Status status = store->Put(**epoch, key, value);
            ASSERT_TRUE(status.ok() || absl::IsAborted(status)) << status;
            if (status.ok()) acknowledged[static_cast<size_t>(thread)][key] = value;
          }
        }
      });
    }
  }
  EXPECT_GT(num_terms, kThreads);
  const auto last = Open(absl::Nanoseconds(-1));
  const auto epoch = last->TryAcquire({});
  ASSERT_TRUE(epoch.ok() && epoch->has_value()) << epoch.status();
  const auto kept = last->List(**epoch, "");
  ASSERT_TRUE(kept.ok()) << kept.status();
  for (const auto& writes : acknowledged) {
    for (const auto& [key, value] : writes) {
      ASSERT_TRUE(kept->contains(key)) << key << " of epoch " << value;
      EXPECT_EQ(kept->at(key), value);
    }
  }
}

}  // namespace
}  // namespace weir
