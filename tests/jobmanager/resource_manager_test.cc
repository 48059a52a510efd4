#include "jobmanager/resource_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "proto/control_plane.pb.h"
#include "tests/jobmanager/fake_task_manager.h"
#include "tests/jobmanager/manual_executor.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ResourceManagerTest : public testing::Test, public TaskManagerListener {
 protected:
  void OnTaskManagerLost(TaskManagerGateway* task_manager, const absl::Status&) override {
    lost_.push_back(task_manager->id());
  }
  std::shared_ptr<FakeTaskManager> Add(const std::string& id, uint32_t num_slots) {
    auto task_manager = std::make_shared<FakeTaskManager>(id, num_slots);
    resources_.Register(task_manager, task_manager->Registration());
    return task_manager;
  }
  // The ids of the TaskManagers that the job's slots came from; "-" while it waits.
  std::vector<std::string>& Request(uint64_t job, uint32_t num_slots,
                                    absl::Duration timeout = absl::Minutes(5)) {
    return Request(job, std::vector<std::string>(num_slots), timeout);
  }
  std::vector<std::string>& Request(uint64_t job, std::vector<std::string> preferred,
                                    absl::Duration timeout = absl::Minutes(5)) {
    std::vector<std::string>& result = granted_[job];
    result = {"-"};
    resources_.RequestSlots({JobId(0, job), std::move(preferred)}, timeout,
                            [&result](absl::StatusOr<ResourceManager::Slots> slots) {
                              result.clear();
                              if (!slots.ok()) result = {"failed"};
                              if (!slots.ok()) return;
                              for (const auto& slot : *slots) result.push_back(slot->id());
                            });
    return result;
  }

  ManualExecutor executor_;
  ResourceManager resources_{{.leader_epoch = LeaderEpoch(1), .abi_stamp = ""}, &executor_, this};
  std::map<uint64_t, std::vector<std::string>> granted_;
  std::vector<std::string> lost_;
};

TEST_F(ResourceManagerTest, SpreadsSlotsEvenlyByShareInUse) {
  Add("a", 2);
  Add("b", 4);
  EXPECT_THAT(Request(1, 3), ElementsAre("a", "b", "b"));
  EXPECT_THAT(Request(2, 3), ElementsAre("a", "b", "b"));
  EXPECT_EQ(resources_.Overview().num_free_slots, 0u);
}

TEST_F(ResourceManagerTest, TakesSlotsWhereTheyArePreferredAndElsewhereIfThereIsNoneFree) {
  Add("a", 2);
  Add("b", 2);
  const std::vector<std::string> preferred = {"b", "b", "b", "gone"};
  EXPECT_THAT(Request(1, preferred), ElementsAre("b", "b", "a", "a"));
}

TEST_F(ResourceManagerTest, GivesBackSomeOfAJobsSlots) {
  const auto a = Add("a", 2);
  Request(1, 2);
  const auto& second = Request(2, 1);
  EXPECT_THAT(second, ElementsAre("-"));
  resources_.ReleaseSlots(JobId(0, 1), {a});
  EXPECT_THAT(second, ElementsAre("a"));
  resources_.OnClosed(a.get());
  resources_.ReleaseSlots(JobId(0, 1), {a});
  EXPECT_EQ(resources_.Overview().num_slots, 0u)
      << "of a lost TaskManager there is nothing to give";
}

TEST_F(ResourceManagerTest, ServesWaitingJobsInTurnAndTakesSlotsBack) {
  Add("a", 2);
  EXPECT_THAT(Request(1, 2), ElementsAre("a", "a"));
  const auto& second = Request(2, 2);
  const auto& third = Request(3, 1);
  EXPECT_THAT(second, ElementsAre("-"));
  resources_.ReleaseSlots(JobId(0, 1));
  EXPECT_THAT(second, ElementsAre("a", "a"));
  EXPECT_THAT(third, ElementsAre("-"));
  Add("b", 1);
  EXPECT_THAT(third, ElementsAre("b"));
}

TEST_F(ResourceManagerTest, LetsASmallJobPassALargeOneThatCannotBeServed) {
  Add("a", 2);
  const auto& large = Request(1, 3);
  EXPECT_THAT(Request(2, 1), ElementsAre("a"));
  EXPECT_THAT(large, ElementsAre("-"));
}

TEST_F(ResourceManagerTest, FailsARequestAfterItsTimeout) {
  const auto& waiting = Request(1, 1, absl::Seconds(30));
  executor_.Advance(absl::Seconds(29));
  EXPECT_THAT(waiting, ElementsAre("-"));
  executor_.Advance(absl::Seconds(1));
  EXPECT_THAT(waiting, ElementsAre("failed"));
  Add("a", 1);
  EXPECT_EQ(resources_.Overview().num_free_slots, 1u);
}

TEST_F(ResourceManagerTest, LosesATaskManagerWithoutHeartbeatsAfterTheTimeoutOnly) {
  const auto silent = Add("silent", 1);
  const auto alive = Add("alive", 1);
  for (int i = 0; i < 5; ++i) {
    executor_.Advance(absl::Seconds(1));
    resources_.OnHeartbeat(alive.get(), {});
  }
  EXPECT_THAT(lost_, IsEmpty());
  executor_.Advance(absl::Seconds(1));
  EXPECT_THAT(lost_, ElementsAre("silent"));
  EXPECT_TRUE(silent->closed);
  EXPECT_EQ(alive->Take(proto::JobManagerMessage::kHeartbeat).size(), 6u);
}

TEST_F(ResourceManagerTest, ReplacesATaskManagerOfTheSameId) {
  const auto old = Add("a", 1);
  Request(1, 1);
  const auto fresh = Add("a", 2);
  EXPECT_THAT(lost_, ElementsAre("a"));
  EXPECT_TRUE(old->closed);
  EXPECT_FALSE(resources_.IsRegistered(old.get()));
  EXPECT_TRUE(resources_.IsRegistered(fresh.get()));
  EXPECT_EQ(resources_.Overview().num_free_slots, 2u);
  resources_.OnClosed(old.get());
  EXPECT_TRUE(resources_.IsRegistered(fresh.get())) << "the old connection's end changes nothing";
}

}  // namespace
}  // namespace weir
