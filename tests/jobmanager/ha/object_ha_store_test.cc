#include "jobmanager/ha/object_ha_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "operators/testing/manual_clock.h"
#include "runtime/base/strings.h"
#include "tests/support/fake_s3_server.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;
using Fault = FakeS3Server::Fault;

constexpr absl::Duration kLease = absl::Seconds(5);

class ObjectHaStoreTest : public testing::Test {
 protected:
  std::unique_ptr<ObjectHaStore> Open(absl::Duration lease = kLease) {
    return std::make_unique<ObjectHaStore>(ObjectHaStoreOptions{"s3://bucket/ha", lease},
                                           std::make_unique<S3FileSystem>(server_.Options()),
                                           &clock_);
  }
  size_t CountObjects(std::string_view prefix) {
    size_t count = 0;
    for (const auto& [key, content] : server_.objects()) count += key.starts_with(prefix) ? 1 : 0;
    return count;
  }

  FakeS3Server server_;
  ManualClock clock_;
};

TEST_F(ObjectHaStoreTest, WaitsForTheWholeLeaseSinceTheLastSignOfLife) {
  const auto leader = Open();
  const auto standby = Open();
  const LeaderEpoch epoch = **leader->TryAcquire({});
  EXPECT_FALSE(standby->TryAcquire({})->has_value());
  clock_.Advance(kLease - absl::Milliseconds(1));
  EXPECT_FALSE(standby->TryAcquire({})->has_value());
  ASSERT_TRUE(leader->Renew(epoch).ok());
  clock_.Advance(absl::Milliseconds(2));
  EXPECT_FALSE(standby->TryAcquire({})->has_value()) << "a sign of life is seen";
  clock_.Advance(kLease + absl::Milliseconds(1));
  EXPECT_TRUE(standby->TryAcquire({})->has_value());
  EXPECT_FALSE(Open()->TryAcquire({})->has_value()) << "who has just come has seen nothing lapse";
}

TEST_F(ObjectHaStoreTest, CountsEpochsFromTheClock) {
  EXPECT_EQ((*Open()->TryAcquire({}))->value(),
            static_cast<uint64_t>(absl::ToUnixMillis(clock_.Now())) + 1);
}

TEST_F(ObjectHaStoreTest, LargeValuesLieBesideTheStateAndLeaveNothingBehind) {
  const std::string large(100'000, 'x');
  const auto store = Open();
  const LeaderEpoch epoch = **store->TryAcquire({});
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(store->Put(epoch, "k", large + StrCat(i)).ok());
  EXPECT_EQ(CountObjects("ha/values/"), 1u);
  EXPECT_THAT(*store->List(epoch, ""), ElementsAre(Pair("k", large + "2")));
  ASSERT_TRUE(store->Put(epoch, "k", "small").ok());
  EXPECT_EQ(CountObjects("ha/values/"), 0u);
  ASSERT_TRUE(store->Put(epoch, "k", large).ok());
  ASSERT_TRUE(store->Remove(epoch, "k").ok());
  EXPECT_EQ(CountObjects("ha/values/"), 0u);

  // A deposed leader's value goes at once, one that died in between with the next leader.
  clock_.Advance(kLease * 2);
  const auto next = Open(absl::Nanoseconds(-1));
  const LeaderEpoch next_epoch = **next->TryAcquire({});
  EXPECT_TRUE(absl::IsAborted(store->Put(epoch, "k", large)));
  EXPECT_EQ(CountObjects("ha/values/"), 0u);
  server_.FailNext("PUT /bucket/ha/state", Fault::kInternalError, 4);
  EXPECT_TRUE(absl::IsUnavailable(next->Put(next_epoch, "k", large)));
  EXPECT_EQ(CountObjects("ha/values/"), 1u);
  ASSERT_TRUE(Open(absl::Nanoseconds(-1))->TryAcquire({})->has_value());
  EXPECT_EQ(CountObjects("ha/values/"), 0u);
  EXPECT_EQ(CountObjects("ha/lease-"), 0u);
}

TEST_F(ObjectHaStoreTest, AWriteWhoseAnswerWasLostCountsOnce) {
  const auto store = Open();
  server_.FailNext("PUT /bucket/ha/state", Fault::kLostAnswer);
  const LeaderEpoch epoch = **store->TryAcquire({});
  server_.FailNext("PUT /bucket/ha/state", Fault::kLostAnswer, 2);
  EXPECT_TRUE(store->Put(epoch, "k", "v").ok());
  // Nobody answers at all, and yet it is done: the leader leads on.
  server_.FailNext("PUT /bucket/ha/state", Fault::kLostAnswer, 4);
  server_.FailNext("GET /bucket/ha/state", Fault::kInternalError, 4);
  EXPECT_FALSE(store->Put(epoch, "k", "w").ok());
  EXPECT_TRUE(store->Renew(epoch).ok());
  EXPECT_TRUE(store->Put(epoch, "l", "x").ok());
  EXPECT_THAT(*store->List(epoch, ""), ElementsAre(Pair("k", "w"), Pair("l", "x")));
}

TEST_F(ObjectHaStoreTest, ADamagedStateIsNamed) {
  server_.Put("ha/state", "rubbish");
  const absl::Status status = Open()->TryAcquire({}).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(status.ToString(), testing::HasSubstr("s3://bucket/ha/state"));
}

// Threads as processes, which take the lead from each other all the time, and lose answers.
TEST_F(ObjectHaStoreTest, LosesNoWriteThatSucceededWhileLeadersAreDeposed) {
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
          if (round % 4 == thread) server_.FailNext("PUT /bucket/ha/state", Fault::kLostAnswer);
          const auto epoch = store->TryAcquire({});
          ASSERT_TRUE(epoch.ok()) << epoch.status();
          if (!epoch->has_value()) continue;
          ++num_terms;
          for (int i = 0; i < 5; ++i) {
            const std::string key = StrCat("k", thread, "-", round, "-", i);
            std::string value = StrCat((*epoch)->value());
            if (i == 4) value.resize(5'000, ' ');
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
  size_t num_large = 0;
  for (const auto& [key, value] : *kept) num_large += value.size() > 1'024 ? 1 : 0;
  EXPECT_EQ(CountObjects("ha/values/"), num_large);
  for (const auto& writes : acknowledged) {
    for (const auto& [key, value] : writes) {
      ASSERT_TRUE(kept->contains(key)) << key << " of epoch " << value;
      EXPECT_EQ(kept->at(key), value);
    }
  }
}

}  // namespace
}  // namespace weir
