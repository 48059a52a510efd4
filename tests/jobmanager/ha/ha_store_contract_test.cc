// What every HaStore keeps to. etcd's runs where WEIR_TEST_ETCD names one ("host:port"), as
// tests/support/with_etcd does.

#include "jobmanager/ha/ha_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "jobmanager/ha/etcd_ha_store.h"
#include "jobmanager/ha/filesystem_ha_store.h"
#include "jobmanager/ha/object_ha_store.h"
#include "operators/testing/manual_clock.h"
#include "runtime/base/strings.h"
#include "runtime/checkpoint/s3/s3_file_system.h"
#include "tests/support/fake_s3_server.h"
#include "tests/support/temporary_folder.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr absl::Duration kLease = absl::Seconds(2);

// One cluster; every Open is another JobManager's view of it.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::unique_ptr<HaStore> Open() = 0;
  // Lets the lease of a leader that does nothing lapse, as `standby` sees it.
  virtual void LetLapse(HaStore& standby) = 0;
};

class FilesystemBackend final : public Backend {
 public:
  std::unique_ptr<HaStore> Open() override {
    FilesystemHaStoreOptions options;
    options.folder = folder_.PathOf("ha");
    options.lease_duration = kLease;
    return *FilesystemHaStore::Open(options, &clock_);
  }
  void LetLapse(HaStore&) override { clock_.Advance(kLease + absl::Milliseconds(1)); }

 private:
  TemporaryFolder folder_;
  ManualClock clock_;
};

class EtcdBackend final : public Backend {
 public:
  explicit EtcdBackend(std::string endpoint) : endpoint_(std::move(endpoint)) {}

  std::unique_ptr<HaStore> Open() override {
    EtcdHaStoreOptions options;
    options.endpoints = {"127.0.0.1:1", endpoint_};  // The first one never answers.
    options.cluster_id = cluster_;
    options.lease_duration = kLease;
    return std::make_unique<EtcdHaStore>(options);
  }
  // Only etcd's own clock counts.
  void LetLapse(HaStore& standby) override {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (standby.FindLeader()->has_value()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
      std::this_thread::yield();
    }
  }

 private:
  const std::string endpoint_;
  const std::string cluster_ = StrCat("test-", ToString(RandomId<JobId>()));
};

class ObjectBackend final : public Backend {
 public:
  // As many requests fail as an attempt outlasts.
  std::unique_ptr<HaStore> Open() override {
    server_.FailNext("PUT", FakeS3Server::Fault::kLostAnswer);
    return std::make_unique<ObjectHaStore>(ObjectHaStoreOptions{"s3://bucket/ha", kLease},
                                           std::make_unique<S3FileSystem>(server_.Options()),
                                           &clock_);
  }
  void LetLapse(HaStore&) override { clock_.Advance(kLease + absl::Milliseconds(1)); }

 private:
  FakeS3Server server_;
  ManualClock clock_;
};

class HaStoreContractTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (std::string_view(GetParam()) == "filesystem") {
      backend_ = std::make_unique<FilesystemBackend>();
    } else if (std::string_view(GetParam()) == "object") {
      backend_ = std::make_unique<ObjectBackend>();
    } else if (const char* const endpoint = std::getenv("WEIR_TEST_ETCD"); endpoint != nullptr) {
      backend_ = std::make_unique<EtcdBackend>(endpoint);
    } else {
      GTEST_SKIP() << "no etcd: WEIR_TEST_ETCD is not set; run by tests/support/with_etcd";
    }
    first_ = backend_->Open();
    second_ = backend_->Open();
  }

  static LeaderEpoch Acquire(HaStore& store, const std::string& name) {
    const auto epoch = store.TryAcquire({.epoch = {}, .rest_address = name, .rpc_address = "rpc"});
    EXPECT_TRUE(epoch.ok()) << epoch.status();
    EXPECT_TRUE(epoch->has_value()) << name;
    return epoch->value_or(LeaderEpoch());
  }
  static bool Waits(HaStore& store) {
    const auto epoch = store.TryAcquire({.epoch = {}, .rest_address = "waits", .rpc_address = ""});
    EXPECT_TRUE(epoch.ok()) << epoch.status();
    return !epoch->has_value();
  }

  std::unique_ptr<Backend> backend_;
  std::unique_ptr<HaStore> first_;
  std::unique_ptr<HaStore> second_;
};

TEST_P(HaStoreContractTest, HasOneLeaderWhomOthersFind) {
  EXPECT_FALSE(first_->FindLeader()->has_value());
  const LeaderEpoch epoch = Acquire(*first_, "one");
  EXPECT_GT(epoch.value(), 0u);
  EXPECT_TRUE(Waits(*second_));
  const auto leader = second_->FindLeader();
  ASSERT_TRUE(leader.ok() && leader->has_value()) << leader.status();
  EXPECT_EQ((*leader)->epoch, epoch);
  EXPECT_EQ((*leader)->rest_address, "one");
  EXPECT_EQ((*leader)->rpc_address, "rpc");
}

TEST_P(HaStoreContractTest, KeepsValuesByKeyAcrossLeaders) {
  const LeaderEpoch epoch = Acquire(*first_, "one");
  EXPECT_THAT(*first_->List(epoch, ""), IsEmpty());
  EXPECT_TRUE(first_->Put(epoch, "job-1", "a").ok());
  EXPECT_TRUE(first_->Put(epoch, "job-1", std::string("b\0c", 3)).ok());
  EXPECT_TRUE(first_->Put(epoch, "job-2", "").ok());
  EXPECT_TRUE(first_->Put(epoch, "joc", "no job").ok());
  EXPECT_TRUE(first_->Put(epoch, "result-1", std::string(300 << 10, 'x')).ok());
  EXPECT_TRUE(first_->Remove(epoch, "job-3").ok()) << "what is not there";
  EXPECT_THAT(*first_->List(epoch, "job-"),
              ElementsAre(Pair("job-1", std::string("b\0c", 3)), Pair("job-2", "")));
  EXPECT_TRUE(first_->Remove(epoch, "job-2").ok());
  EXPECT_TRUE(first_->Release(epoch).ok());

  const LeaderEpoch next = Acquire(*second_, "two");
  EXPECT_GT(next, epoch);
  EXPECT_THAT(*second_->List(next, "job-"), ElementsAre(Pair("job-1", std::string("b\0c", 3))));
  EXPECT_EQ(second_->List(next, "result-")->at("result-1").size(), size_t{300} << 10);
}

TEST_P(HaStoreContractTest, LetsAnotherLeadOnceTheLeaseHasLapsedAndRefusesTheOldLeaderAll) {
  const LeaderEpoch old = Acquire(*first_, "one");
  ASSERT_TRUE(first_->Put(old, "job-1", "kept").ok());
  ASSERT_TRUE(Waits(*second_));
  backend_->LetLapse(*second_);
  const LeaderEpoch epoch = Acquire(*second_, "two");
  EXPECT_GT(epoch, old);

  EXPECT_TRUE(absl::IsAborted(first_->Put(old, "job-1", "late")));
  EXPECT_TRUE(absl::IsAborted(first_->Put(old, "job-2", "late")));
  EXPECT_TRUE(absl::IsAborted(first_->Remove(old, "job-1")));
  EXPECT_TRUE(absl::IsAborted(first_->List(old, "").status()));
  EXPECT_TRUE(absl::IsAborted(first_->Renew(old)));
  EXPECT_TRUE(first_->Release(old).ok()) << "there is nothing to give up";
  EXPECT_THAT(*second_->List(epoch, ""), ElementsAre(Pair("job-1", "kept")));
  EXPECT_EQ((*first_->FindLeader())->rest_address, "two");
  EXPECT_TRUE(Waits(*first_));
  EXPECT_TRUE(second_->Renew(epoch).ok());
}

TEST_P(HaStoreContractTest, LetsNobodyWaitForALeaderThatWent) {
  LeaderEpoch last;
  for (int i = 0; i < 5; ++i) {
    for (HaStore* const store : {first_.get(), second_.get()}) {
      const LeaderEpoch epoch = Acquire(*store, "next");
      EXPECT_GT(epoch, last);
      last = epoch;
      EXPECT_TRUE(store->Release(epoch).ok());
      EXPECT_FALSE(store->FindLeader()->has_value());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Stores, HaStoreContractTest,
                         testing::Values("filesystem", "object", "etcd"),
                         [](const auto& store) { return std::string(store.param); });

TEST(EtcdHaStoreTest, SaysThatNobodyAnswers) {
  EtcdHaStoreOptions options;
  options.endpoints = {"127.0.0.1:1"};
  EtcdHaStore store(options);
  EXPECT_TRUE(absl::IsUnavailable(store.TryAcquire({}).status()));
  EXPECT_TRUE(absl::IsUnavailable(store.Put(LeaderEpoch(1), "job-1", "")));
}

}  // namespace
}  // namespace weir
