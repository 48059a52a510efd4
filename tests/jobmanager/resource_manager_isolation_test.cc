// The processes that TaskManagers have for isolated jobs.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "jobmanager/proto_ids.h"
#include "jobmanager/resource_manager.h"
#include "proto/control_plane.pb.h"
#include "runtime/base/failure.h"
#include "runtime/base/strings.h"
#include "tests/jobmanager/fake_task_manager.h"
#include "tests/jobmanager/manual_executor.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class ResourceManagerIsolationTest : public testing::Test, public TaskManagerListener {
 protected:
  void OnTaskManagerLost(TaskManagerGateway* task_manager, const absl::Status& reason) override {
    lost_.push_back(task_manager->id());
    reasons_.push_back(reason);
  }
  std::shared_ptr<FakeTaskManager> Add(const std::string& id, uint32_t num_slots,
                                       bool isolates_jobs = true) {
    auto task_manager = std::make_shared<FakeTaskManager>(id, num_slots);
    task_manager->isolates_jobs = isolates_jobs;
    resources_.Register(task_manager, task_manager->Registration());
    return task_manager;
  }
  // The processes that `owner` was asked for since the last call.
  static std::vector<proto::RunJobProcess> Runs(FakeTaskManager* owner) {
    std::vector<proto::RunJobProcess> runs;
    for (const auto& message : owner->Take(proto::JobManagerMessage::kRunJobProcess)) {
      runs.push_back(message.run_job_process());
    }
    return runs;
  }
  static std::vector<proto::EndJobProcess> Ends(FakeTaskManager* owner) {
    std::vector<proto::EndJobProcess> ends;
    for (const auto& message : owner->Take(proto::JobManagerMessage::kEndJobProcess)) {
      ends.push_back(message.end_job_process());
    }
    return ends;
  }
  std::shared_ptr<FakeTaskManager> Begin(const FakeTaskManager& owner,
                                         const proto::RunJobProcess& run) {
    auto process = std::make_shared<FakeTaskManager>(owner, run);
    process->pid = 77;
    resources_.Register(process, process->Registration());
    return process;
  }
  ResourceManager::SlotsCallback Into(std::vector<std::string>* result) {
    *result = {"-"};
    return [this, result](absl::StatusOr<ResourceManager::Slots> slots) {
      result->clear();
      if (!slots.ok()) {
        *result = {StrCat("failed: ", ToStd(slots.status().message()))};
        return;
      }
      for (const auto& slot : *slots) result->push_back(slot->id());
      slots_ = *slots;
    };
  }
  // The ids of the gateways that the job got; "-" while it waits.
  std::vector<std::string>& Request(uint64_t job, std::vector<std::string> preferred,
                                    absl::Duration timeout = absl::Minutes(5)) {
    resources_.RequestSlots({JobId(0, job), std::move(preferred), /*isolated=*/true}, timeout,
                            Into(&granted_[job]));
    return granted_[job];
  }
  static proto::CrashReport Crash(const std::string& process, const std::string& signal) {
    proto::CrashReport report;
    report.set_task_manager_id(process);
    report.set_signal(signal);
    report.set_text("the text");
    return report;
  }

  ManualExecutor executor_;
  ResourceManager resources_{{.leader_epoch = LeaderEpoch(4), .abi_stamp = ""}, &executor_, this};
  std::map<uint64_t, std::vector<std::string>> granted_;
  ResourceManager::Slots slots_;  // That were granted last.
  std::vector<std::string> lost_;
  std::vector<absl::Status> reasons_;
};

TEST_F(ResourceManagerIsolationTest, GivesTheProcessOfTheJobOnceItHasRegistered) {
  const auto a = Add("a", 3);
  const auto& granted = Request(1, {"", ""});
  EXPECT_THAT(granted, ElementsAre("-"));
  EXPECT_EQ(resources_.Overview().num_free_slots, 1u) << "its slots are the TaskManager's";
  const std::vector<proto::RunJobProcess> runs = Runs(a.get());
  ASSERT_THAT(runs, SizeIs(1)) << "one for all slots there";
  EXPECT_EQ(runs[0].num_slots(), 2u);
  EXPECT_EQ(runs[0].job_id(), IdToBytes(JobId(0, 1)));
  EXPECT_EQ(runs[0].leader_epoch(), 4u);
  const auto process = Begin(*a, runs[0]);
  EXPECT_THAT(granted, ElementsAre(process->id(), process->id()));
  EXPECT_TRUE(resources_.IsRegistered(process.get()));
  EXPECT_THAT(process->Take(proto::JobManagerMessage::kRegistered), SizeIs(1));
  EXPECT_EQ(resources_.Overview().num_taskmanagers, 1u);
  ASSERT_THAT(resources_.TaskManagers(), SizeIs(1));
  EXPECT_EQ(resources_.TaskManagers()[0].num_free_slots, 1u);
}

TEST_F(ResourceManagerIsolationTest, GivesTheTaskManagerWhereItDoesNotIsolate) {
  const auto a = Add("a", 1, /*isolates_jobs=*/false);
  const auto b = Add("b", 1);
  const auto& granted = Request(1, {"a", "b"});
  EXPECT_THAT(Runs(a.get()), IsEmpty());
  const auto process = Begin(*b, Runs(b.get()).at(0));
  EXPECT_THAT(granted, ElementsAre("a", process->id()));
}

TEST_F(ResourceManagerIsolationTest, EndsTheProcessWhenTheJobHasNoSlotThere) {
  const auto a = Add("a", 2);
  Request(1, {"", ""});
  const auto process = Begin(*a, Runs(a.get()).at(0));
  resources_.ReleaseSlots(JobId(0, 1), {process});
  executor_.RunUntilIdle();
  const std::vector<proto::RunJobProcess> runs = Runs(a.get());
  ASSERT_THAT(runs, SizeIs(1)) << "it is told that it has fewer";
  EXPECT_EQ(runs[0].process_id(), process->id());
  EXPECT_EQ(runs[0].num_slots(), 1u);
  EXPECT_THAT(Ends(a.get()), IsEmpty());
  resources_.ReleaseSlots(JobId(0, 1));
  executor_.RunUntilIdle();
  const std::vector<proto::EndJobProcess> ends = Ends(a.get());
  ASSERT_THAT(ends, SizeIs(1));
  EXPECT_EQ(ends[0].process_id(), process->id());
  EXPECT_FALSE(ends[0].at_once());
  EXPECT_FALSE(resources_.IsRegistered(process.get()));
  EXPECT_THAT(lost_, IsEmpty());
}

TEST_F(ResourceManagerIsolationTest, KeepsTheProcessOfAJobThatAsksAgainAtOnce) {
  const auto a = Add("a", 2);
  Request(1, {"", ""});
  const auto process = Begin(*a, Runs(a.get()).at(0));
  resources_.ReleaseSlots(JobId(0, 1), {process, process});
  EXPECT_THAT(Request(1, {"a"}), ElementsAre(process->id()));
  std::vector<std::string> replaced;
  ASSERT_TRUE(resources_
                  .ReplaceSlots({JobId(0, 1), {"a", "a"}, /*isolated=*/true}, absl::Minutes(5),
                                Into(&replaced))
                  .ok());
  EXPECT_THAT(replaced, ElementsAre(process->id(), process->id()));
  executor_.RunUntilIdle();
  EXPECT_THAT(Ends(a.get()), IsEmpty());
}

TEST_F(ResourceManagerIsolationTest, LosesAProcessAlone) {
  const auto a = Add("a", 2);
  Request(1, {""});
  const auto first = Begin(*a, Runs(a.get()).at(0));
  Request(2, {""});
  const auto second = Begin(*a, Runs(a.get()).at(0));
  resources_.OnCrashed(Crash(first->id(), "exit(3)"));
  EXPECT_THAT(lost_, ElementsAre(first->id()));
  EXPECT_THAT(std::string(reasons_[0].message()), HasSubstr("exit(3)"));
  EXPECT_THAT(std::string(reasons_[0].message()), HasSubstr("the text"));
  EXPECT_EQ(DescribeFailure(reasons_[0]).exception_name, "exit(3)");
  EXPECT_EQ(DescribeFailure(reasons_[0]).origin, FailureOrigin::kUser);
  EXPECT_TRUE(first->closed);
  EXPECT_FALSE(second->closed);
  EXPECT_FALSE(a->closed);
  const std::vector<proto::EndJobProcess> ends = Ends(a.get());
  ASSERT_THAT(ends, SizeIs(1));
  EXPECT_TRUE(ends[0].at_once()) << "it may hang";
  EXPECT_EQ(resources_.Overview().num_free_slots, 1u);
  const auto& again = Request(1, {"a"});
  const proto::RunJobProcess run = Runs(a.get()).at(0);
  EXPECT_NE(run.process_id(), first->id());
  EXPECT_THAT(again, ElementsAre("-"));
  const auto next = Begin(*a, run);
  EXPECT_THAT(again, ElementsAre(next->id()));
}

TEST_F(ResourceManagerIsolationTest, WaitsForTheTaskManagersWordWhenAConnectionCloses) {
  const auto a = Add("a", 2);
  Request(1, {""});
  const auto first = Begin(*a, Runs(a.get()).at(0));
  Request(2, {""});
  const auto second = Begin(*a, Runs(a.get()).at(0));
  resources_.OnClosed(first.get());
  resources_.OnClosed(second.get());
  EXPECT_THAT(lost_, IsEmpty());
  resources_.OnCrashed(Crash(first->id(), "SIGKILL"));
  EXPECT_THAT(lost_, ElementsAre(first->id()));
  EXPECT_EQ(DescribeFailure(reasons_[0]).exception_name, "SIGKILL");
  EXPECT_EQ(DescribeFailure(reasons_[0]).origin, FailureOrigin::kSystem);
  executor_.Advance(absl::Milliseconds(200));
  EXPECT_THAT(lost_, ElementsAre(first->id(), second->id()));
  EXPECT_EQ(DescribeFailure(reasons_[1]).exception_name, kTaskManagerLost);
}

TEST_F(ResourceManagerIsolationTest, LosesAProcessWithoutHeartbeats) {
  const auto a = Add("a", 1);
  Request(1, {""});
  const auto process = Begin(*a, Runs(a.get()).at(0));
  for (int i = 0; i < 6; ++i) {
    executor_.Advance(absl::Seconds(1));
    resources_.OnHeartbeat(a.get(), {});
  }
  EXPECT_THAT(lost_, ElementsAre(process->id()));
  EXPECT_THAT(process->Take(proto::JobManagerMessage::kHeartbeat), SizeIs(5));
  EXPECT_EQ(resources_.Overview().num_free_slots, 1u);
}

TEST_F(ResourceManagerIsolationTest, LosesProcessesWithTheirTaskManager) {
  const auto a = Add("a", 2);
  const auto b = Add("b", 1);
  Request(1, {"a"});
  const auto process = Begin(*a, Runs(a.get()).at(0));
  const auto& starting = Request(2, {"a"});
  EXPECT_THAT(Runs(a.get()), SizeIs(1));
  resources_.OnClosed(a.get());
  EXPECT_THAT(lost_, ElementsAre(process->id(), "a"));
  EXPECT_THAT(std::string(reasons_[0].message()), HasSubstr("its TaskManager was lost"));
  EXPECT_TRUE(process->closed);
  EXPECT_THAT(starting, ElementsAre("-"));
  const auto elsewhere = Begin(*b, Runs(b.get()).at(0));
  EXPECT_THAT(starting, ElementsAre(elsewhere->id())) << "what was being started starts elsewhere";
}

TEST_F(ResourceManagerIsolationTest, StartsElsewhereWhenOneOfSeveralTaskManagersIsLost) {
  const auto a = Add("a", 1, /*isolates_jobs=*/false);
  const auto b = Add("b", 1);
  const auto c = Add("c", 1);
  const auto& granted = Request(1, {"a", "b"});
  resources_.OnClosed(a.get());
  EXPECT_THAT(granted, ElementsAre("-"));
  const auto on_b = Begin(*b, Runs(b.get()).at(0));
  const auto on_c = Begin(*c, Runs(c.get()).at(0));
  EXPECT_THAT(granted, ElementsAre(on_c->id(), on_b->id()));
  EXPECT_EQ(resources_.Overview().num_free_slots, 0u);
}

TEST_F(ResourceManagerIsolationTest, FailsTheRequestWhoseProcessEndsBeforeItRegisters) {
  const auto a = Add("a", 1);
  const auto& granted = Request(1, {""});
  const proto::RunJobProcess run = Runs(a.get()).at(0);
  resources_.OnCrashed(Crash(run.process_id(), "exit(2)"));
  ASSERT_THAT(granted, SizeIs(1));
  EXPECT_THAT(granted[0], HasSubstr("failed"));
  EXPECT_THAT(granted[0], HasSubstr("exit(2)"));
  EXPECT_THAT(lost_, IsEmpty());
  EXPECT_EQ(resources_.Overview().num_free_slots, 1u);
  const auto late = Begin(*a, run);
  EXPECT_THAT(late->Take(proto::JobManagerMessage::kRefused), SizeIs(1));
  EXPECT_TRUE(late->closed);
}

TEST_F(ResourceManagerIsolationTest, FailsTheRequestWhoseProcessDoesNotStartInTime) {
  const auto a = Add("a", 1);
  const auto& granted = Request(1, {""}, absl::Seconds(3));
  executor_.Advance(absl::Seconds(3));
  ASSERT_THAT(granted, SizeIs(1));
  EXPECT_THAT(granted[0], HasSubstr("did not start in time"));
  executor_.RunUntilIdle();
  EXPECT_THAT(Ends(a.get()), SizeIs(1));
  EXPECT_EQ(resources_.Overview().num_free_slots, 1u);
}

TEST_F(ResourceManagerIsolationTest, EndsAProcessThatIsStartedForNobody) {
  const auto a = Add("a", 1);
  const auto& granted = Request(1, {""});
  const proto::RunJobProcess run = Runs(a.get()).at(0);
  resources_.ReleaseSlots(JobId(0, 1));
  executor_.RunUntilIdle();
  const std::vector<proto::EndJobProcess> ends = Ends(a.get());
  ASSERT_THAT(ends, SizeIs(1));
  EXPECT_EQ(ends[0].process_id(), run.process_id());
  EXPECT_EQ(resources_.Overview().num_free_slots, 1u);
  EXPECT_THAT(Begin(*a, run)->Take(proto::JobManagerMessage::kRefused), SizeIs(1));
  EXPECT_THAT(granted, ElementsAre("-"));
}

// A TaskManager that has a process of an earlier leader, and that process.
class AdoptedProcessTest : public ResourceManagerIsolationTest {
 protected:
  bool RegisterOwner(uint64_t leader_epoch = 3) {
    proto::Register registration = owner_->Registration();
    registration.set_leader_epoch(leader_epoch);
    registration.add_process_ids("p");
    return resources_.Register(owner_, registration);
  }
  bool RegisterProcess(const std::map<JobId, uint32_t>& held) {
    proto::RunJobProcess run;
    run.set_process_id("p");
    run.set_job_id(IdToBytes(job_));
    run.set_num_slots(2);
    process_ = std::make_shared<FakeTaskManager>(*owner_, run);
    proto::Register registration = process_->Registration();
    registration.set_leader_epoch(3);
    registration.add_jobs()->set_job_id(run.job_id());
    return resources_.Register(process_, registration, held);
  }

  const JobId job_{0, 1};
  const std::shared_ptr<FakeTaskManager> owner_ = [] {
    auto owner = std::make_shared<FakeTaskManager>("a", 3);
    owner->isolates_jobs = true;
    return owner;
  }();
  std::shared_ptr<FakeTaskManager> process_;
};

TEST_F(AdoptedProcessTest, HasItsSlotsAndIsToldOfThemAnew) {
  EXPECT_TRUE(RegisterOwner());
  EXPECT_TRUE(RegisterProcess({{job_, 2}}));
  EXPECT_TRUE(resources_.IsRegistered(process_.get()));
  EXPECT_EQ(resources_.Overview().num_free_slots, 1u);
  resources_.EndUnclaimedProcesses();
  executor_.RunUntilIdle();
  EXPECT_THAT(Ends(owner_.get()), IsEmpty());
  std::vector<proto::RunJobProcess> runs = Runs(owner_.get());
  ASSERT_THAT(runs, SizeIs(1));
  EXPECT_EQ(runs[0].process_id(), "p");
  EXPECT_EQ(runs[0].num_slots(), 2u);

  resources_.SetSlots(job_, {process_, nullptr});
  executor_.RunUntilIdle();
  EXPECT_EQ(resources_.Overview().num_free_slots, 2u);
  runs = Runs(owner_.get());
  ASSERT_THAT(runs, SizeIs(1));
  EXPECT_EQ(runs[0].num_slots(), 1u);
  resources_.SetSlots(job_, {nullptr, nullptr});
  executor_.RunUntilIdle();
  ASSERT_THAT(Ends(owner_.get()), SizeIs(1)) << "the job does not go on there";
}

TEST_F(AdoptedProcessTest, IsLostLikeAnyOther) {
  RegisterOwner();
  RegisterProcess({{job_, 2}});
  resources_.OnCrashed(Crash("p", "SIGSEGV"));
  EXPECT_THAT(lost_, ElementsAre("p"));
  EXPECT_EQ(resources_.Overview().num_free_slots, 3u);
  EXPECT_THAT(process_->Take(proto::JobManagerMessage::kDismissed), SizeIs(1)) << "if it lives";
  EXPECT_FALSE(RegisterProcess({{job_, 2}}));
}

TEST_F(AdoptedProcessTest, IsRefusedIfItsTaskManagerIsNotThereOrItsJobDoesNotWait) {
  EXPECT_FALSE(RegisterProcess({{job_, 2}}));
  EXPECT_THAT(process_->Take(proto::JobManagerMessage::kRefused), SizeIs(1));
  RegisterOwner();
  EXPECT_FALSE(RegisterProcess({}));
  EXPECT_FALSE(RegisterProcess({{job_, 4}})) << "there are three slots";
  EXPECT_EQ(resources_.Overview().num_free_slots, 3u);
  EXPECT_TRUE(RegisterProcess({{job_, 3}}));
}

TEST_F(AdoptedProcessTest, IsKilledIfItHasNotComeInTime) {
  RegisterOwner();
  resources_.EndUnclaimedProcesses();
  const std::vector<proto::EndJobProcess> ends = Ends(owner_.get());
  ASSERT_THAT(ends, SizeIs(1));
  EXPECT_EQ(ends[0].process_id(), "p");
  EXPECT_TRUE(ends[0].at_once());
  EXPECT_FALSE(RegisterProcess({{job_, 2}}));
}

TEST_F(AdoptedProcessTest, EndsWithATaskManagerThatThisLeaderHasGivenUp) {
  EXPECT_FALSE(RegisterOwner(/*leader_epoch=*/4));
  EXPECT_THAT(owner_->Take(proto::JobManagerMessage::kDismissed), SizeIs(1));
}

TEST_F(ResourceManagerIsolationTest, CountsTheMemoryOfProcessesToTheirTaskManager) {
  const auto a = Add("a", 2);
  Request(1, {""});
  const auto process = Begin(*a, Runs(a.get()).at(0));
  proto::TaskManagerHeartbeat heartbeat;
  heartbeat.set_memory_used_bytes(10);
  heartbeat.set_resident_bytes(100);
  resources_.OnHeartbeat(a.get(), heartbeat);
  heartbeat.set_memory_used_bytes(5);
  heartbeat.set_resident_bytes(50);
  resources_.OnHeartbeat(process.get(), heartbeat);
  const TaskManagerInfo info = resources_.TaskManagers().at(0);
  EXPECT_EQ(info.metrics.memory_used_bytes, 15);
  EXPECT_EQ(info.metrics.memory_committed_bytes, 150);
}

}  // namespace
}  // namespace weir
