#include "jobmanager/ha/leader_election.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "jobmanager/ha/fenced_executor.h"
#include "jobmanager/ha/filesystem_ha_store.h"
#include "operators/testing/manual_clock.h"
#include "runtime/base/strings.h"
#include "tests/jobmanager/manual_executor.h"
#include "tests/support/seeds.h"
#include "tests/support/temporary_folder.h"

namespace weir {
namespace {

constexpr LeaderElectionOptions kOptions{.lease_duration = absl::Seconds(5),
                                         .retry_period = absl::Milliseconds(500)};

// A JobManager as far as the election is concerned. One that is not stepped is stopped.
class Contender final : public LeaderContender {
 public:
  Contender(const std::string& folder, const std::string& name, const Clock* clock)
      : store_(*FilesystemHaStore::Open(
            {.folder = folder, .lease_duration = kOptions.lease_duration}, clock)),
        election_(kOptions, store_.get(), {.epoch = {}, .rest_address = name, .rpc_address = ""},
                  this, clock) {}

  void OnGranted(std::shared_ptr<LeaderLease> lease) override {
    EXPECT_FALSE(leads_);
    leads_ = true;
    lease_ = std::move(lease);
  }
  void OnRevoked(const absl::Status& reason) override {
    EXPECT_TRUE(leads_);
    EXPECT_FALSE(lease_->Holds()) << "nothing may be done any more by the time it is told";
    leads_ = false;
    reason_ = reason;
  }

  [[nodiscard]] bool may_act() const { return lease_ != nullptr && lease_->Holds(); }
  [[nodiscard]] bool leads() const { return leads_; }
  [[nodiscard]] const absl::Status& reason() const { return reason_; }
  [[nodiscard]] LeaderEpoch epoch() const { return lease_->epoch(); }
  [[nodiscard]] HaStore& store() { return *store_; }
  [[nodiscard]] LeaderElection& election() { return election_; }

 private:
  const std::unique_ptr<FilesystemHaStore> store_;
  std::shared_ptr<LeaderLease> lease_;
  bool leads_ = false;
  absl::Status reason_;
  LeaderElection election_;
};

class LeaderElectionTest : public testing::Test {
 protected:
  std::unique_ptr<Contender> Join(const std::string& name) {
    return std::make_unique<Contender>(folder_.PathOf("ha"), name, &clock_);
  }

  TemporaryFolder folder_;
  ManualClock clock_;
};

TEST_F(LeaderElectionTest, KeepsTheLeadAsLongAsItRenews) {
  const auto one = Join("one");
  const auto two = Join("two");
  for (int i = 0; i < 100; ++i) {
    one->election().Step();
    two->election().Step();
    clock_.Advance(kOptions.retry_period);
    ASSERT_TRUE(one->may_act());
    ASSERT_FALSE(two->leads());
  }
  EXPECT_EQ(one->election().leader()->rest_address, "one");
  EXPECT_EQ(two->election().leader()->rest_address, "one");
}

TEST_F(LeaderElectionTest, RevokesALeaderThatWakesBeforeItDoesAnythingElse) {
  const auto one = Join("one");
  const auto two = Join("two");
  one->election().Step();
  two->election().Step();
  clock_.Advance(kOptions.lease_duration + absl::Milliseconds(1));
  EXPECT_TRUE(one->leads());
  EXPECT_FALSE(one->may_act()) << "it sees by its own clock that its time is over";
  two->election().Step();
  EXPECT_TRUE(two->may_act());
  EXPECT_GT(two->epoch(), one->epoch());
  EXPECT_TRUE(absl::IsAborted(one->store().Put(one->epoch(), "job-1", "late")));
  one->election().Step();
  EXPECT_FALSE(one->leads());
  EXPECT_TRUE(absl::IsDeadlineExceeded(one->reason()));
  one->election().Step();
  EXPECT_EQ(one->election().leader()->rest_address, "two");
}

TEST_F(LeaderElectionTest, RevokesALeaderThatStoppedShorterThanItsLeaseButIsDeposed) {
  const auto one = Join("one");
  one->election().Step();
  // As if the store's clock went faster.
  ManualClock fast;
  Contender two(folder_.PathOf("ha"), "two", &fast);
  two.election().Step();
  fast.Advance(absl::Minutes(1));
  two.election().Step();
  ASSERT_TRUE(two.leads());
  EXPECT_TRUE(one->may_act());
  EXPECT_TRUE(absl::IsAborted(one->store().Put(one->epoch(), "job-1", "late")));
  one->election().Step();
  EXPECT_FALSE(one->leads());
  EXPECT_TRUE(absl::IsAborted(one->reason()));
}

TEST_F(LeaderElectionTest, HandsOverAtOnceWhenItStops) {
  const auto one = Join("one");
  const auto two = Join("two");
  one->election().Step();
  two->election().Step();
  one->election().Stop();
  EXPECT_FALSE(one->leads());
  one->election().Release();
  two->election().Step();
  EXPECT_TRUE(two->leads());
}

TEST_F(LeaderElectionTest, NeverHasTwoThatMayActHoweverTheyAreStopped) {
  for (unsigned seed = 1; seed <= NumSeeds(9); ++seed) {
    SCOPED_TRACE(StrCat("seed=", seed));
    std::mt19937_64 random(seed);
    const TemporaryFolder folder;
    std::vector<std::unique_ptr<Contender>> contenders;
    for (int i = 0; i < 3; ++i) {
      contenders.push_back(
          std::make_unique<Contender>(folder.PathOf("ha"), StrCat("c", i), &clock_));
    }
    int num_changes = 0;
    LeaderEpoch newest;
    for (int step = 0; step < 500; ++step) {
      if (random() % 4 == 0) {
        clock_.Advance(absl::Milliseconds(100) * static_cast<int64_t>(random() % 20));
      }
      // At times one of them gets no time at all.
      const auto stopped = static_cast<size_t>(step / 50 % 4);
      const size_t chosen = random() % contenders.size();
      if (chosen != stopped) contenders[chosen]->election().Step();
      int num_acting = 0;
      for (const auto& contender : contenders) {
        if (!contender->may_act()) continue;
        ++num_acting;
        if (contender->epoch() != newest) {
          ASSERT_GT(contender->epoch(), newest);
          newest = contender->epoch();
          ++num_changes;
        }
        if (step % 10 != 0) continue;
        const absl::Status put = contender->store().Put(contender->epoch(), "k", StrCat(step));
        ASSERT_TRUE(put.ok()) << put;
      }
      ASSERT_LE(num_acting, 1) << "step=" << step;
    }
    EXPECT_GT(num_changes, 1);
  }
}

TEST_F(LeaderElectionTest, RunsNoMailOfALeaderWhoseLeaseHasLapsed) {
  ManualExecutor executor;
  const auto lease = std::make_shared<LeaderLease>(
      LeaderEpoch(1), clock_.MonotonicNanos() + absl::ToInt64Nanoseconds(absl::Seconds(5)),
      &clock_);
  FencedExecutor fenced(&executor, lease);
  std::vector<std::string> ran;
  const auto post_all = [&](const std::string& name) {
    fenced.Post([&, name] { ran.push_back(name + " mail"); });
    fenced.PostAfter(absl::ZeroDuration(), [&, name] { ran.push_back(name + " timer"); });
    fenced.RunBlocking([&, name]() -> Mail {
      ran.push_back(name + " work");
      return [&, name] { ran.push_back(name + " answer"); };
    });
  };
  post_all("first");
  executor.RunUntilIdle();
  EXPECT_EQ(ran.size(), 4u);
  ran.clear();
  post_all("second");
  clock_.Advance(absl::Seconds(5));
  executor.RunUntilIdle();
  EXPECT_TRUE(ran.empty()) << ran.front();
  // In the midst of it: what blocks has begun, its answer finds the lease lapsed.
  lease->Extend(clock_.MonotonicNanos() + 1);
  fenced.RunBlocking([&]() -> Mail {
    clock_.Advance(absl::Seconds(1));
    return [&] { ran.push_back("answer"); };
  });
  executor.RunUntilIdle();
  EXPECT_TRUE(ran.empty());
}

}  // namespace
}  // namespace weir
