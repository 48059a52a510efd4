#include "jobmanager/checkpoint/checkpoint_coordinator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "jobmanager/proto_ids.h"
#include "proto/control_plane.pb.h"
#include "runtime/base/strings.h"
#include "tests/jobmanager/manual_executor.h"
#include "tests/jobmanager/test_graphs.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

// Writes down what the coordinator has said, in order.
class RecordingMessenger final : public CheckpointMessenger {
 public:
  void TriggerCoordinators(CheckpointId id,
                           const std::vector<ExecutionAttemptId>& coordinators) override {
    log.push_back(StrCat("coordinators ", id.value(), " x", coordinators.size()));
  }
  void TriggerSources(CheckpointId id, absl::Time, BarrierKind kind,
                      const std::vector<ExecutionAttemptId>& sources) override {
    constexpr std::string_view kKinds[] = {"", " savepoint", " suspend", " terminate"};
    log.push_back(
        StrCat("sources ", id.value(), " x", sources.size(), kKinds[static_cast<size_t>(kind)]));
    last_sources = sources;
  }
  void NotifyCheckpointComplete(CheckpointId id) override {
    log.push_back(StrCat("complete ", id.value()));
  }
  void NotifyCheckpointAborted(CheckpointId id) override {
    log.push_back(StrCat("aborted ", id.value()));
  }
  void DeliverToTask(const proto::OperatorEvent& event) override {
    log.push_back(StrCat("event ", event.payload()));
  }
  void FailAttempt(const absl::Status& reason) override {
    log.push_back(StrCat("fail: ", ToStd(reason.message())));
    coordinator->Stop(reason);
  }

  std::vector<std::string> Take() { return std::exchange(log, {}); }

  std::vector<std::string> log;
  std::vector<ExecutionAttemptId> last_sources;
  CheckpointCoordinator* coordinator = nullptr;
};

// Keeps metadata in memory; a state is the list of its files, separated by blanks.
class MemoryStorage final : public CheckpointStorage {
 public:
  explicit MemoryStorage(ManualExecutor* executor) : executor_(executor) {}

  void Write(std::shared_ptr<const CheckpointMetadata> metadata,
             std::function<void(absl::StatusOr<std::string>)> done) override {
    executor_->RunBlocking([this, metadata, done]() -> Mail {
      const std::string path = StrCat("chk-", metadata->id.value());
      absl::StatusOr<std::string> result = path;
      if (write_error.ok()) {
        stored[path] = *metadata;
      } else {
        result = write_error;
      }
      return [result, done] { done(result); };
    });
  }
  void Read(std::string path,
            std::function<void(absl::StatusOr<CheckpointMetadata>)> done) override {
    executor_->RunBlocking([this, path, done]() -> Mail {
      absl::StatusOr<CheckpointMetadata> result = absl::DataLossError("damaged");
      if (stored.contains(path)) result = stored[path];
      return [result, done] { done(result); };
    });
  }
  void WriteSavepoint(std::shared_ptr<const CheckpointMetadata> metadata, SavepointFormat format,
                      std::string target_directory,
                      std::function<void(absl::StatusOr<std::string>)> done) override {
    executor_->RunBlocking([this, metadata, format, target_directory, done]() -> Mail {
      absl::StatusOr<std::string> result =
          StrCat(target_directory, "/savepoint-", metadata->id.value());
      if (write_error.ok()) {
        stored[*result] = *metadata;
        stored[*result].savepoint_format = SavepointFormatName(format);
      } else {
        result = write_error;
      }
      return [result, done] { done(result); };
    });
  }
  void TakeOver(std::string, std::function<absl::Status(const CheckpointMetadata&)>,
                std::function<void(absl::StatusOr<Snapshot>)>) override {}
  void Sweep(std::function<void(uint64_t)>) override {}
  void Dispose(std::string path) override { removed.push_back(StrCat("all of ", path)); }
  void Discard(std::vector<std::string> paths, std::vector<std::string> files) override {
    for (const std::string& path : paths) {
      stored.erase(path);
      removed.push_back(path);
    }
    for (const std::string& file : files) removed.push_back(file);
  }
  std::vector<std::string> FilesOf(std::string_view state) const override {
    std::vector<std::string> files;
    for (const std::string_view file : StrSplit(state, ' ')) {
      if (!file.empty()) files.emplace_back(file);
    }
    return files;
  }

  std::map<std::string, CheckpointMetadata> stored;
  std::vector<std::string> removed;
  absl::Status write_error;

 private:
  ManualExecutor* const executor_;
};

constexpr uint64_t kSource0 = 10;
constexpr uint64_t kSource1 = 11;
constexpr uint64_t kSink0 = 20;
constexpr uint64_t kSink1 = 21;
constexpr uint64_t kCoordinator = 30;

ExecutionAttemptId Attempt(uint64_t number) { return ExecutionAttemptId(1, number); }

CheckpointPlan TestPlan() {
  return {.tasks = {{Attempt(kSource0), TestVertex(1), 0, true},
                    {Attempt(kSource1), TestVertex(1), 1, true},
                    {Attempt(kSink0), TestVertex(2), 0, false},
                    {Attempt(kSink1), TestVertex(2), 1, false}},
          .coordinators = {{Attempt(kCoordinator), TestOperator(1)}}};
}

class CheckpointCoordinatorTest : public testing::Test {
 protected:
  void Make(CheckpointSettings settings) {
    coordinator_ = std::make_unique<CheckpointCoordinator>(JobId(3, 4), &graph_, settings,
                                                           &executor_, &messenger_, &storage_);
    messenger_.coordinator = coordinator_.get();
    coordinator_->Start(TestPlan());
  }
  // Runs with checkpoints each second; the first is due.
  void MakeAndTrigger(CheckpointSettings settings = {}) {
    Make(settings);
    coordinator_->OnAllTasksRunning();
    executor_.Advance(settings.interval);
  }
  void AckCoordinator(uint64_t checkpoint, const std::string& state = "splits") {
    proto::CoordinatorCheckpointAck ack;
    ack.set_attempt(IdToBytes(Attempt(kCoordinator)));
    ack.set_checkpoint_id(checkpoint);
    ack.set_state(state);
    coordinator_->OnCoordinatorAck(ack);
  }
  void AckTask(uint64_t attempt, uint64_t checkpoint, const std::string& state = "") {
    proto::CheckpointAck ack;
    ack.set_attempt(IdToBytes(Attempt(attempt)));
    ack.set_checkpoint_id(checkpoint);
    proto::OperatorStateAck* const op = ack.add_operators();
    op->set_operator_id(IdToBytes(TestOperator(attempt < kSink0 ? 1 : 2)));
    op->set_state(state.empty() ? StrCat("f", attempt, "@", checkpoint) : state);
    coordinator_->OnTaskAck(ack);
  }
  void Decline(uint64_t attempt, uint64_t checkpoint) {
    proto::CheckpointDecline decline;
    decline.set_attempt(IdToBytes(Attempt(attempt)));
    decline.set_checkpoint_id(checkpoint);
    decline.set_reason("not ready");
    coordinator_->OnTaskDecline(decline);
  }
  void SendEvent(const std::string& payload) {
    proto::OperatorEvent event;
    event.set_sender_attempt(IdToBytes(Attempt(kCoordinator)));
    event.set_payload(payload);
    coordinator_->OnCoordinatorEvent(event);
  }
  // As a job acknowledges that has the same states as before.
  void AckSame(uint64_t checkpoint, const std::string& state = "same") {
    AckCoordinator(checkpoint);
    for (const uint64_t task : {kSource0, kSource1, kSink0, kSink1}) {
      AckTask(task, checkpoint, state);
    }
    executor_.RunUntilIdle();
  }
  void AckAll(uint64_t checkpoint) {
    AckCoordinator(checkpoint);
    for (const uint64_t task : {kSource0, kSource1, kSink0, kSink1}) AckTask(task, checkpoint);
    executor_.RunUntilIdle();
  }

  ManualExecutor executor_;
  RecordingMessenger messenger_;
  MemoryStorage storage_{&executor_};
  const JobGraph graph_ = SourceAndSink(2, 2);
  std::unique_ptr<CheckpointCoordinator> coordinator_;
};

TEST_F(CheckpointCoordinatorTest, TriggersNothingBeforeAllTasksRun) {
  Make({});
  executor_.Advance(absl::Seconds(10));
  EXPECT_THAT(messenger_.log, IsEmpty());
  coordinator_->OnAllTasksRunning();
  executor_.Advance(absl::Milliseconds(999));
  EXPECT_THAT(messenger_.log, IsEmpty());
  executor_.Advance(absl::Milliseconds(1));
  EXPECT_THAT(messenger_.log, ElementsAre("coordinators 1 x1"));
}

TEST_F(CheckpointCoordinatorTest, CompletesWhateverTheOrderOfAcks) {
  std::vector<uint64_t> order = {kSource0, kSource1, kSink0, kSink1};
  uint64_t checkpoint = 0;
  MakeAndTrigger();
  do {
    ++checkpoint;
    AckCoordinator(checkpoint);
    EXPECT_THAT(messenger_.Take(), ElementsAre(StrCat("coordinators ", checkpoint, " x1"),
                                               StrCat("sources ", checkpoint, " x2")));
    for (const uint64_t task : order) {
      executor_.RunUntilIdle();
      EXPECT_THAT(messenger_.log, IsEmpty());
      AckTask(task, checkpoint);
    }
    executor_.RunUntilIdle();
    EXPECT_THAT(messenger_.Take(), ElementsAre(StrCat("complete ", checkpoint)));
    executor_.Advance(absl::Seconds(1));
  } while (std::next_permutation(order.begin(), order.end()));
  EXPECT_EQ(checkpoint, 24u);
  EXPECT_EQ(coordinator_->Statistics().counts.completed, 24u);
}

TEST_F(CheckpointCoordinatorTest, TriggersSourcesOnlyAfterCoordinatorsHaveAnswered) {
  MakeAndTrigger();
  executor_.Advance(absl::Seconds(5));
  EXPECT_THAT(messenger_.Take(), ElementsAre("coordinators 1 x1"));
  AckCoordinator(1);
  EXPECT_THAT(messenger_.Take(), ElementsAre("sources 1 x2"));
  EXPECT_THAT(messenger_.last_sources, ElementsAre(Attempt(kSource0), Attempt(kSource1)));
}

TEST_F(CheckpointCoordinatorTest, HoldsEventsFromACoordinatorsAnswerUntilTheTriggers) {
  CheckpointPlan plan = TestPlan();
  plan.coordinators.push_back({Attempt(kCoordinator + 1), TestOperator(2)});
  Make({});
  coordinator_->Stop(absl::CancelledError("replaced"));
  coordinator_->Start(plan);
  coordinator_->OnAllTasksRunning();
  executor_.Advance(absl::Seconds(1));
  EXPECT_THAT(messenger_.Take(), ElementsAre("coordinators 1 x2"));
  SendEvent("before");
  EXPECT_THAT(messenger_.Take(), ElementsAre("event before"));
  AckCoordinator(1);
  SendEvent("after 1");
  SendEvent("after 2");
  EXPECT_THAT(messenger_.log, IsEmpty());
  proto::CoordinatorCheckpointAck other;
  other.set_attempt(IdToBytes(Attempt(kCoordinator + 1)));
  other.set_checkpoint_id(1);
  coordinator_->OnCoordinatorAck(other);
  EXPECT_THAT(messenger_.Take(), ElementsAre("sources 1 x2", "event after 1", "event after 2"));
  SendEvent("later");
  EXPECT_THAT(messenger_.Take(), ElementsAre("event later"));
}

TEST_F(CheckpointCoordinatorTest, ReleasesHeldEventsWhenTheCheckpointIsAborted) {
  CheckpointPlan plan = TestPlan();
  plan.coordinators.push_back({Attempt(kCoordinator + 1), TestOperator(2)});
  Make({.timeout = absl::Seconds(3)});
  coordinator_->Stop(absl::CancelledError("replaced"));
  coordinator_->Start(plan);
  coordinator_->OnAllTasksRunning();
  executor_.Advance(absl::Seconds(1));
  AckCoordinator(1);
  SendEvent("held");
  messenger_.Take();
  executor_.Advance(absl::Seconds(3));
  EXPECT_THAT(messenger_.Take(), ElementsAre("aborted 1", "event held", "coordinators 2 x2"));
}

TEST_F(CheckpointCoordinatorTest, TellsCompletionOnlyAfterMetadataIsDurable) {
  MakeAndTrigger();
  executor_.set_hold_blocking(true);
  AckAll(1);
  messenger_.Take();
  executor_.Advance(absl::Seconds(3));
  EXPECT_THAT(messenger_.log, IsEmpty()) << "not complete, and no other triggered";
  executor_.set_hold_blocking(false);
  executor_.RunUntilIdle();
  EXPECT_THAT(messenger_.Take(), ElementsAre("complete 1", "coordinators 2 x1"));
}

TEST_F(CheckpointCoordinatorTest, AbortsWhenMetadataCannotBeWritten) {
  MakeAndTrigger();
  storage_.write_error = absl::ResourceExhaustedError("disk full");
  AckAll(1);
  EXPECT_THAT(messenger_.Take(), ElementsAre("coordinators 1 x1", "sources 1 x2", "aborted 1"));
  ASSERT_TRUE(coordinator_->Statistics().latest_failed.has_value());
  EXPECT_THAT(coordinator_->Statistics().latest_failed->failure_message, HasSubstr("disk full"));
}

TEST_F(CheckpointCoordinatorTest, DiscardsACheckpointThatBecomesDurableAfterItWasAborted) {
  MakeAndTrigger();
  executor_.set_hold_blocking(true);
  AckAll(1);
  messenger_.Take();
  coordinator_->Stop(absl::UnavailableError("task failed"));
  executor_.set_hold_blocking(false);
  executor_.RunUntilIdle();
  EXPECT_THAT(messenger_.log, IsEmpty());
  EXPECT_THAT(storage_.stored, IsEmpty());
  EXPECT_EQ(coordinator_->Statistics().counts.failed, 1u);
}

TEST_F(CheckpointCoordinatorTest, AbortsOnDeclineAndTriesAgainAfterTheInterval) {
  MakeAndTrigger();
  AckCoordinator(1);
  AckTask(kSource0, 1);
  executor_.Advance(absl::Milliseconds(300));
  Decline(kSink1, 1);
  EXPECT_THAT(messenger_.Take(), ElementsAre("coordinators 1 x1", "sources 1 x2", "aborted 1"));
  executor_.Advance(absl::Milliseconds(699));
  EXPECT_THAT(messenger_.log, IsEmpty());
  executor_.Advance(absl::Milliseconds(1));
  EXPECT_THAT(messenger_.Take(), ElementsAre("coordinators 2 x1"));
}

TEST_F(CheckpointCoordinatorTest, AbortsWhenACoordinatorCannotTakeItsSnapshot) {
  MakeAndTrigger();
  proto::CoordinatorCheckpointAck ack;
  ack.set_attempt(IdToBytes(Attempt(kCoordinator)));
  ack.set_checkpoint_id(1);
  ack.set_error("no answer from the broker");
  coordinator_->OnCoordinatorAck(ack);
  EXPECT_THAT(messenger_.Take(), ElementsAre("coordinators 1 x1", "aborted 1"));
}

TEST_F(CheckpointCoordinatorTest, AbortsAfterTheTimeout) {
  MakeAndTrigger({.timeout = absl::Seconds(4)});
  AckCoordinator(1);
  messenger_.Take();
  executor_.Advance(absl::Milliseconds(3999));
  EXPECT_THAT(messenger_.log, IsEmpty());
  executor_.Advance(absl::Milliseconds(1));
  EXPECT_THAT(messenger_.Take(), ElementsAre("aborted 1", "coordinators 2 x1"));
  EXPECT_THAT(coordinator_->Statistics().latest_failed->failure_message, HasSubstr("expired"));
}

TEST_F(CheckpointCoordinatorTest, IgnoresLateDoubleAndForeignAcks) {
  MakeAndTrigger();
  AckCoordinator(1);
  AckTask(kSource0, 1);
  Decline(kSource1, 1);
  executor_.Advance(absl::Seconds(1));
  AckCoordinator(2);
  messenger_.Take();
  AckTask(kSource0, 1);  // Late.
  AckTask(kSource0, 2);
  AckTask(kSource0, 2);  // Twice.
  AckTask(99, 2);        // Of another attempt.
  AckTask(kSource1, 3);  // From the future.
  Decline(kSource1, 1);  // Late.
  EXPECT_EQ(coordinator_->num_ignored_answers(), 5u);
  AckTask(kSource1, 2);
  AckTask(kSink0, 2);
  executor_.RunUntilIdle();
  EXPECT_THAT(messenger_.log, IsEmpty());
  AckTask(kSink1, 2);
  executor_.RunUntilIdle();
  EXPECT_THAT(messenger_.Take(), ElementsAre("complete 2"));
}

TEST_F(CheckpointCoordinatorTest, KeepsTheMinimumPauseAfterASlowCheckpoint) {
  MakeAndTrigger({.min_pause = absl::Milliseconds(700)});
  executor_.Advance(absl::Milliseconds(900));
  AckAll(1);
  messenger_.Take();
  executor_.Advance(absl::Milliseconds(699));
  EXPECT_THAT(messenger_.log, IsEmpty());
  executor_.Advance(absl::Milliseconds(1));
  EXPECT_THAT(messenger_.Take(), ElementsAre("coordinators 2 x1"));
}

TEST_F(CheckpointCoordinatorTest, TriggersAtOnceWhenACheckpointTookLongerThanTheInterval) {
  MakeAndTrigger();
  executor_.Advance(absl::Seconds(3));
  AckAll(1);
  EXPECT_THAT(messenger_.Take(),
              ElementsAre("coordinators 1 x1", "sources 1 x2", "complete 1", "coordinators 2 x1"));
}

TEST_F(CheckpointCoordinatorTest, CountsFinishedTasksAsAcknowledgedWithTheirLastState) {
  MakeAndTrigger();
  AckAll(1);
  coordinator_->OnTaskFinished(Attempt(kSource0));
  executor_.Advance(absl::Seconds(1));
  messenger_.Take();
  AckCoordinator(2);
  EXPECT_THAT(messenger_.last_sources, ElementsAre(Attempt(kSource1)));
  AckTask(kSource1, 2);
  AckTask(kSink0, 2);
  AckTask(kSink1, 2);
  executor_.RunUntilIdle();
  const CheckpointMetadata& second = storage_.stored.at("chk-2");
  EXPECT_THAT(second.FindOperator(TestOperator(1))->subtasks, ElementsAre("f10@1", "f11@2"));
  // And once more: carried on from a checkpoint that carried it itself.
  executor_.Advance(absl::Seconds(1));
  AckCoordinator(3);
  AckTask(kSource1, 3);
  AckTask(kSink0, 3);
  AckTask(kSink1, 3);
  executor_.RunUntilIdle();
  EXPECT_THAT(storage_.stored.at("chk-3").FindOperator(TestOperator(1))->subtasks,
              ElementsAre("f10@1", "f11@3"));
  EXPECT_THAT(storage_.removed, testing::Not(testing::Contains("f10@1")));
}

TEST_F(CheckpointCoordinatorTest, CompletesWhenTheLastMissingTaskFinishesInstead) {
  MakeAndTrigger();
  AckAll(1);
  executor_.Advance(absl::Seconds(1));
  AckCoordinator(2);
  AckTask(kSource0, 2);
  AckTask(kSource1, 2);
  AckTask(kSink0, 2);
  messenger_.Take();
  coordinator_->OnTaskFinished(Attempt(kSink1));
  executor_.RunUntilIdle();
  EXPECT_THAT(messenger_.Take(), ElementsAre("complete 2"));
  EXPECT_THAT(storage_.stored.at("chk-2").FindOperator(TestOperator(2))->subtasks,
              ElementsAre("f20@2", "f21@1"));
}

TEST_F(CheckpointCoordinatorTest, TriggersTheFinalCheckpointAtOnceWhenAllInputHasEnded) {
  Make({.interval = absl::Hours(1)});
  coordinator_->OnAllTasksRunning();
  coordinator_->OnInputEnded(Attempt(kSource0));
  coordinator_->OnInputEnded(Attempt(kSink0));  // No source.
  executor_.RunUntilIdle();
  EXPECT_THAT(messenger_.log, IsEmpty());
  coordinator_->OnInputEnded(Attempt(kSource1));
  EXPECT_THAT(messenger_.Take(), ElementsAre("coordinators 1 x1"));
}

TEST_F(CheckpointCoordinatorTest, TriggersTheFinalCheckpointOnceTasksRun) {
  Make({.interval = absl::Hours(1)});
  coordinator_->OnInputEnded(Attempt(kSource0));
  coordinator_->OnTaskFinished(Attempt(kSource1));
  EXPECT_THAT(messenger_.log, IsEmpty());
  coordinator_->OnAllTasksRunning();
  EXPECT_THAT(messenger_.Take(), ElementsAre("coordinators 1 x1"));
}

TEST_F(CheckpointCoordinatorTest, TriggersTheFinalCheckpointAfterTheOneUnderWay) {
  MakeAndTrigger({.min_pause = absl::Hours(1)});
  coordinator_->OnInputEnded(Attempt(kSource0));
  coordinator_->OnInputEnded(Attempt(kSource1));
  EXPECT_THAT(messenger_.Take(), ElementsAre("coordinators 1 x1"));
  AckAll(1);
  EXPECT_THAT(messenger_.Take(), ElementsAre("sources 1 x2", "complete 1", "coordinators 2 x1"));
  AckAll(2);
  executor_.Advance(absl::Minutes(1));
  EXPECT_THAT(messenger_.Take(), ElementsAre("sources 2 x2", "complete 2"))
      << "the final one is not triggered again at once";
}

TEST_F(CheckpointCoordinatorTest, SubsumesOlderCheckpointsAndTheFilesThatOnlyTheyNeed) {
  MakeAndTrigger();
  AckCoordinator(1);
  AckTask(kSource0, 1, "a b");
  AckTask(kSource1, 1, "c");
  AckTask(kSink0, 1, "shared");
  AckTask(kSink1, 1, "d");
  executor_.RunUntilIdle();
  executor_.Advance(absl::Seconds(1));
  AckCoordinator(2);
  AckTask(kSource0, 2, "b e");
  AckTask(kSource1, 2, "c");
  AckTask(kSink0, 2, "shared");
  AckTask(kSink1, 2, "g");
  executor_.RunUntilIdle();
  EXPECT_THAT(storage_.removed, ElementsAre("chk-1"))
      << "files wait: a snapshot under way may still build on them";
  executor_.Advance(absl::Seconds(1));
  AckCoordinator(3);
  AckTask(kSource0, 3, "b e");
  AckTask(kSource1, 3, "d");  // Was superfluous, is needed again.
  AckTask(kSink0, 3, "shared");
  AckTask(kSink1, 3, "g");
  executor_.RunUntilIdle();
  EXPECT_THAT(storage_.removed, UnorderedElementsAre("chk-1", "a", "chk-2"));
  EXPECT_TRUE(coordinator_->Statistics().history.back().discarded);
  coordinator_->Stop(absl::CancelledError("done"));
  coordinator_->DiscardAll();
  EXPECT_THAT(storage_.removed, UnorderedElementsAre("chk-1", "a", "chk-2", "chk-3", "b", "c", "d",
                                                     "e", "g", "shared"));
}

TEST_F(CheckpointCoordinatorTest, RetainsAsManyCheckpointsAsAsked) {
  MakeAndTrigger({.num_retained = 3});
  for (uint64_t checkpoint = 1; checkpoint <= 5; ++checkpoint) {
    AckAll(checkpoint);
    executor_.Advance(absl::Seconds(1));
  }
  EXPECT_EQ(storage_.stored.size(), 3u);
  EXPECT_TRUE(storage_.stored.contains("chk-3"));
}

TEST_F(CheckpointCoordinatorTest, RemovesFilesOfAbortedCheckpointsAfterTheNextCompletion) {
  MakeAndTrigger();
  AckCoordinator(1);
  AckTask(kSource0, 1, "orphan kept");
  Decline(kSource1, 1);
  AckTask(kSource1, 1, "late");
  EXPECT_THAT(storage_.removed, IsEmpty());
  executor_.Advance(absl::Seconds(1));
  AckCoordinator(2);
  AckTask(kSource0, 2, "kept");
  AckTask(kSource1, 2);
  AckTask(kSink0, 2);
  AckTask(kSink1, 2);
  executor_.RunUntilIdle();
  EXPECT_THAT(storage_.removed, UnorderedElementsAre("orphan", "late"));
}

TEST_F(CheckpointCoordinatorTest, StopAbortsWithoutAWordAndStartBeginsAnew) {
  MakeAndTrigger();
  AckCoordinator(1);
  messenger_.Take();
  coordinator_->Stop(absl::UnavailableError("task failed"));
  executor_.Advance(absl::Minutes(1));
  EXPECT_THAT(messenger_.log, IsEmpty());
  coordinator_->Start(TestPlan());
  AckTask(kSource0, 1);
  coordinator_->OnAllTasksRunning();
  executor_.Advance(absl::Seconds(1));
  EXPECT_THAT(messenger_.Take(), ElementsAre("coordinators 2 x1"));
  EXPECT_EQ(coordinator_->Statistics().latest_failed->failure_message, "task failed");
}

TEST_F(CheckpointCoordinatorTest, RestoresTheNewestCheckpointThatCanBeRead) {
  MakeAndTrigger({.num_retained = 2});
  AckAll(1);
  executor_.Advance(absl::Seconds(1));
  AckAll(2);
  coordinator_->Stop(absl::UnavailableError("task failed"));
  uint64_t restored = 0;
  const auto restore = [&] {
    coordinator_->RestoreLatest([&](auto metadata) {
      ASSERT_TRUE(metadata.ok()) << metadata.status();
      restored = (*metadata)->id.value();
    });
    executor_.RunUntilIdle();
  };
  restore();
  EXPECT_EQ(restored, 2u);
  storage_.stored.erase("chk-2");
  restore();
  EXPECT_EQ(restored, 1u);
  EXPECT_EQ(coordinator_->Statistics().counts.restored, 2u);
  storage_.stored.clear();
  absl::Status error;
  coordinator_->RestoreLatest([&](auto metadata) { error = metadata.status(); });
  executor_.RunUntilIdle();
  EXPECT_EQ(error.code(), absl::StatusCode::kDataLoss) << "never from nothing without a word";
}

TEST_F(CheckpointCoordinatorTest, RestoresNothingWhenThereIsNoCheckpoint) {
  Make({});
  coordinator_->Stop(absl::CancelledError("stop"));
  bool called = false;
  coordinator_->RestoreLatest([&](auto metadata) {
    called = true;
    EXPECT_EQ(*metadata, nullptr);
  });
  EXPECT_TRUE(called);
}

TEST_F(CheckpointCoordinatorTest, NeverRemovesTheCheckpointThatTheUserStartedFrom) {
  Make({});
  coordinator_->Stop(absl::CancelledError("stop"));
  CheckpointMetadata users;
  users.id = CheckpointId(41);
  CheckpointedOperator& op = users.operators.emplace_back();
  op.id = TestOperator(1);
  op.max_parallelism = 128;
  op.subtasks = {"users-file", ""};
  coordinator_->AddRestored({.metadata = std::make_shared<const CheckpointMetadata>(users),
                             .path = "backup/chk-41",
                             .was_own = true},
                            "backup/chk-41", ClaimMode::kNoClaim);
  coordinator_->Start(TestPlan());
  coordinator_->OnAllTasksRunning();
  for (uint64_t checkpoint = 42; checkpoint < 46; ++checkpoint) {
    executor_.Advance(absl::Seconds(1));
    AckCoordinator(checkpoint);
    AckTask(kSource0, checkpoint, checkpoint == 42 ? "users-file" : "own");
    for (const uint64_t task : {kSource1, kSink0, kSink1}) AckTask(task, checkpoint);
    executor_.RunUntilIdle();
  }
  EXPECT_EQ(coordinator_->Statistics().counts.completed, 4u);
  coordinator_->Stop(absl::CancelledError("done"));
  coordinator_->DiscardAll();
  EXPECT_THAT(storage_.removed, testing::Not(testing::Contains("users-file")));
  EXPECT_THAT(storage_.removed, testing::Not(testing::Contains("backup/chk-41")));
}

TEST_F(CheckpointCoordinatorTest, AnswersAManualTriggerWhenTheCheckpointHasEnded) {
  Make({.interval = absl::Hours(1)});
  absl::StatusOr<CheckpointId> first = absl::UnknownError("not called");
  coordinator_->TriggerNow([&](auto result) { first = result; });
  EXPECT_EQ(first.status().code(), absl::StatusCode::kFailedPrecondition) << "tasks do not run yet";
  coordinator_->OnAllTasksRunning();
  absl::StatusOr<CheckpointId> second = absl::UnknownError("not called");
  coordinator_->TriggerNow([&](auto result) { first = result; });
  coordinator_->TriggerNow([&](auto result) { second = result; });
  AckAll(1);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->value(), 1u);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnknown) << "waits for one of its own";
  Decline(kSource0, 2);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAborted);
}

TEST_F(CheckpointCoordinatorTest, CompletesWithoutWritingWhileNoStateChanges) {
  MakeAndTrigger();
  AckSame(1);
  for (uint64_t checkpoint = 2; checkpoint <= 4; ++checkpoint) {
    executor_.Advance(absl::Seconds(1));
    messenger_.Take();
    storage_.write_error = absl::UnavailableError("nothing is to be written");
    AckSame(checkpoint);
    EXPECT_THAT(messenger_.Take(), ElementsAre(StrCat("sources ", checkpoint, " x2"),
                                               StrCat("complete ", checkpoint)));
  }
  CheckpointStatistics statistics = coordinator_->Statistics();
  EXPECT_EQ(statistics.counts.completed, 4u);
  EXPECT_EQ(statistics.latest_completed->id, CheckpointId(4));
  EXPECT_EQ(statistics.latest_completed->external_path, "chk-1") << "it holds what chk-4 would";
  EXPECT_FALSE(statistics.latest_completed->discarded);
  EXPECT_THAT(storage_.removed, IsEmpty());

  // A job that is restored now has all that was acknowledged, and counts on.
  coordinator_->Stop(absl::UnavailableError("task failed"));
  uint64_t restored = 0;
  coordinator_->RestoreLatest([&](auto metadata) { restored = (*metadata)->id.value(); });
  executor_.RunUntilIdle();
  EXPECT_EQ(restored, 1u);
  coordinator_->Start(TestPlan());
  coordinator_->OnAllTasksRunning();
  executor_.Advance(absl::Seconds(1));
  storage_.write_error = absl::OkStatus();
  AckSame(5, "another");
  EXPECT_EQ(storage_.stored.count("chk-5"), 1u);
  EXPECT_THAT(storage_.removed, ElementsAre("chk-1"));
  statistics = coordinator_->Statistics();
  EXPECT_FALSE(statistics.history[0].discarded);
  for (size_t i = 1; i < statistics.history.size(); ++i) {
    EXPECT_TRUE(statistics.history[i].discarded) << "all of them lay at chk-1";
  }
}

TEST_F(CheckpointCoordinatorTest, WritesACheckpointWhenAnyStateHasChanged) {
  MakeAndTrigger();
  AckSame(1);
  executor_.Advance(absl::Seconds(1));
  AckCoordinator(2, "other splits");
  for (const uint64_t task : {kSource0, kSource1, kSink0, kSink1}) AckTask(task, 2, "same");
  executor_.RunUntilIdle();
  EXPECT_EQ(storage_.stored.count("chk-2"), 1u);
  executor_.Advance(absl::Seconds(1));
  AckCoordinator(3, "other splits");
  for (const uint64_t task : {kSource0, kSource1, kSink0}) AckTask(task, 3, "same");
  AckTask(kSink1, 3, "changed");
  executor_.RunUntilIdle();
  EXPECT_EQ(storage_.stored.count("chk-3"), 1u);
}

TEST_F(CheckpointCoordinatorTest, WritesACheckpointThatSomebodyAskedForThoughNothingHasChanged) {
  MakeAndTrigger();
  AckSame(1);
  absl::StatusOr<CheckpointId> asked = absl::UnknownError("not called");
  coordinator_->TriggerNow([&](auto result) { asked = result; });
  AckSame(2);
  ASSERT_TRUE(asked.ok());
  EXPECT_EQ(asked->value(), 2u);
  EXPECT_EQ(storage_.stored.count("chk-2"), 1u);
}

TEST_F(CheckpointCoordinatorTest, DoesNotRelyOnACheckpointOfTheUsers) {
  Make({});
  coordinator_->Stop(absl::CancelledError("stop"));
  MakeAndTrigger();
  AckSame(1);
  coordinator_->Stop(absl::CancelledError("stop"));
  const CheckpointMetadata users = storage_.stored.at("chk-1");
  storage_.stored = {{"backup/chk-1", users}};
  Make({});
  coordinator_->Stop(absl::CancelledError("stop"));
  coordinator_->AddRestored({.metadata = std::make_shared<const CheckpointMetadata>(users),
                             .path = "backup/chk-1",
                             .was_own = true},
                            "backup/chk-1", ClaimMode::kNoClaim);
  coordinator_->RestoreLatest([](auto metadata) { ASSERT_TRUE(metadata.ok()); });
  executor_.RunUntilIdle();
  coordinator_->Start(TestPlan());
  coordinator_->OnAllTasksRunning();
  executor_.Advance(absl::Seconds(1));
  AckSame(2);
  EXPECT_EQ(storage_.stored.count("chk-2"), 1u) << "the user may delete theirs at any time";
}

TEST_F(CheckpointCoordinatorTest, RemovesOrphansThoughNothingIsWritten) {
  MakeAndTrigger();
  AckSame(1);
  executor_.Advance(absl::Seconds(1));
  AckCoordinator(2);
  AckTask(kSource0, 2, "orphan same");
  Decline(kSource1, 2);
  executor_.Advance(absl::Seconds(1));
  AckSame(3);
  EXPECT_THAT(storage_.removed, ElementsAre("orphan"));
}

// So that what many jobs say falls together, and costs few messages.
TEST_F(CheckpointCoordinatorTest, TriggersOnAGridOfItsInterval) {
  executor_.Advance(absl::Milliseconds(130));
  Make({.interval = absl::Seconds(10)});
  coordinator_->OnAllTasksRunning();
  executor_.Advance(absl::Milliseconds(9869));
  EXPECT_THAT(messenger_.log, IsEmpty());
  executor_.Advance(absl::Milliseconds(1));
  EXPECT_THAT(messenger_.Take(), ElementsAre("coordinators 1 x1")) << "early by less than 250 ms";
  AckAll(1);
  messenger_.Take();
  executor_.Advance(absl::Milliseconds(9999));
  EXPECT_THAT(messenger_.log, IsEmpty()) << "and on the grid it stays";
  executor_.Advance(absl::Milliseconds(1));
  EXPECT_THAT(messenger_.Take(), ElementsAre("coordinators 2 x1"));
}

TEST_F(CheckpointCoordinatorTest, TriggersNothingWithoutAnInterval) {
  Make({.interval = absl::InfiniteDuration()});
  coordinator_->OnAllTasksRunning();
  coordinator_->OnInputEnded(Attempt(kSource0));
  coordinator_->OnInputEnded(Attempt(kSource1));
  executor_.Advance(absl::Hours(24));
  EXPECT_THAT(messenger_.log, IsEmpty());
}

// Of a job whose next checkpoint is far away.
class SavepointTest : public CheckpointCoordinatorTest {
 protected:
  void Run(CheckpointSettings settings = {.interval = absl::Hours(1)}) {
    Make(settings);
    coordinator_->OnAllTasksRunning();
  }
  void Trigger(AfterSavepoint then = AfterSavepoint::kGoOn) {
    result_ = absl::UnknownError("not called");
    coordinator_->TriggerSavepoint({.target_directory = "/s", .then = then},
                                   [this](auto result) { result_ = result; });
  }

  absl::StatusOr<std::string> result_;
};

TEST_F(SavepointTest, IsWrittenElsewhereAndTasksAreNotTold) {
  Run();
  Trigger();
  AckAll(1);
  ASSERT_TRUE(result_.ok()) << result_.status();
  EXPECT_EQ(*result_, "/s/savepoint-1");
  EXPECT_THAT(messenger_.Take(), ElementsAre("coordinators 1 x1", "sources 1 x2 savepoint"));
  const CheckpointStatistics statistics = coordinator_->Statistics();
  EXPECT_FALSE(statistics.latest_completed.has_value());
  ASSERT_TRUE(statistics.latest_savepoint.has_value());
  EXPECT_EQ(statistics.latest_savepoint->kind, CheckpointKind::kSavepoint);
  EXPECT_EQ(statistics.latest_savepoint->savepoint_format, "CANONICAL");
  EXPECT_EQ(statistics.latest_savepoint->external_path, "/s/savepoint-1");
  coordinator_->Stop(absl::CancelledError("over"));
  coordinator_->RestoreLatest([](auto latest) { EXPECT_EQ(*latest, nullptr); });
}

TEST_F(SavepointTest, WaitsForTheCheckpointUnderWayAndIsFollowedByTheNext) {
  MakeAndTrigger({.interval = absl::Seconds(1)});
  Trigger();
  EXPECT_THAT(messenger_.Take(), ElementsAre("coordinators 1 x1"));
  AckAll(1);
  EXPECT_THAT(messenger_.Take(), ElementsAre("sources 1 x2", "complete 1", "coordinators 2 x1"));
  AckAll(2);
  EXPECT_TRUE(result_.ok()) << result_.status();
  messenger_.Take();
  executor_.Advance(absl::Seconds(1));
  EXPECT_THAT(messenger_.Take(), ElementsAre("coordinators 3 x1"));
}

TEST_F(SavepointTest, LeavesNoFilesInTheJobsFolderThatNoCheckpointNeeds) {
  MakeAndTrigger({.interval = absl::Seconds(1)});
  AckSame(1, "old");
  Trigger();
  AckSame(2, "old of-savepoint and-next");
  ASSERT_TRUE(result_.ok());
  EXPECT_THAT(storage_.removed, IsEmpty()) << "the next checkpoint may build on them";
  executor_.Advance(absl::Seconds(1));
  AckSame(3, "and-next");
  EXPECT_THAT(storage_.removed, UnorderedElementsAre("chk-1", "of-savepoint"));
  executor_.Advance(absl::Seconds(1));
  AckSame(4, "other");
  EXPECT_THAT(storage_.removed, UnorderedElementsAre("chk-1", "of-savepoint", "old", "chk-3"));
}

TEST_F(SavepointTest, ThatStopsIsToldOfAndTheLastOne) {
  Run({.interval = absl::Seconds(1)});
  Trigger(AfterSavepoint::kStop);
  EXPECT_EQ(result_.status().code(), absl::StatusCode::kUnknown);
  AckAll(1);
  ASSERT_TRUE(result_.ok()) << result_.status();
  EXPECT_THAT(messenger_.Take(),
              ElementsAre("coordinators 1 x1", "sources 1 x2 suspend", "complete 1"));
  executor_.Advance(absl::Hours(1));
  for (const uint64_t task : {kSource0, kSource1}) coordinator_->OnInputEnded(Attempt(task));
  EXPECT_THAT(messenger_.Take(), IsEmpty());
  Trigger();
  EXPECT_EQ(result_.status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(SavepointTest, ThatStopsIsWhatAJobGoesOnFromIfItFailsBeforeItsEnd) {
  MakeAndTrigger({.interval = absl::Seconds(1)});
  AckAll(1);
  Trigger(AfterSavepoint::kStop);
  AckAll(2);
  ASSERT_TRUE(result_.ok());
  coordinator_->Stop(absl::InternalError("a task failed"));
  std::shared_ptr<const CheckpointMetadata> restored;
  coordinator_->RestoreLatest([&](auto latest) { restored = *latest; });
  executor_.RunUntilIdle();
  ASSERT_NE(restored, nullptr);
  EXPECT_EQ(restored->id.value(), 2u);
  EXPECT_TRUE(coordinator_->Statistics().latest_restored->is_savepoint);
  coordinator_->Start(TestPlan());
  coordinator_->OnAllTasksRunning();
  executor_.Advance(absl::Seconds(1));
  AckAll(3);
  coordinator_->Stop(absl::CancelledError("done"));
  coordinator_->DiscardAll();
  EXPECT_TRUE(storage_.stored.contains("/s/savepoint-2")) << "it is the user's";
}

TEST_F(SavepointTest, ThatCannotStopLetsTheJobGoOn) {
  Run({.interval = absl::Seconds(1)});
  Trigger(AfterSavepoint::kStop);
  AckCoordinator(1);
  Decline(kSource0, 1);
  EXPECT_EQ(result_.status().code(), absl::StatusCode::kAborted);
  EXPECT_THAT(messenger_.Take(),
              ElementsAre("coordinators 1 x1", "sources 1 x2 suspend", "aborted 1"));
  executor_.Advance(absl::Seconds(1));
  EXPECT_THAT(messenger_.Take(), ElementsAre("coordinators 2 x1"));
}

TEST_F(SavepointTest, ThatFailsAfterTheTasksWereDrainedFailsTheAttempt) {
  Run();
  Trigger(AfterSavepoint::kDrain);
  AckCoordinator(1);
  storage_.write_error = absl::ResourceExhaustedError("disk full");
  for (const uint64_t task : {kSource0, kSource1, kSink0, kSink1}) AckTask(task, 1);
  executor_.RunUntilIdle();
  EXPECT_THAT(result_.status().ToString(), HasSubstr("cannot write the savepoint: disk full"));
  const std::vector<std::string> log = messenger_.Take();
  ASSERT_THAT(log, testing::SizeIs(4));
  EXPECT_EQ(log[1], "sources 1 x2 terminate");
  EXPECT_THAT(log[3], HasSubstr("fail: the savepoint to stop with has failed"));
}

TEST_F(SavepointTest, IsRefusedByAJobThatCannotTakeIt) {
  Make({.interval = absl::InfiniteDuration()});
  Trigger();
  EXPECT_THAT(result_.status().ToString(), HasSubstr("the job runs without checkpoints"));
  Make({});
  Trigger();
  EXPECT_THAT(result_.status().ToString(), HasSubstr("not all tasks of the job are RUNNING"));
}

TEST_F(SavepointTest, ThatIsAbortedWhileItIsWrittenIsRemovedWithItsFiles) {
  Run();
  Trigger();
  executor_.set_hold_blocking(true);
  AckAll(1);
  coordinator_->Stop(absl::InternalError("a task failed"));
  EXPECT_EQ(result_.status().code(), absl::StatusCode::kInternal);
  executor_.set_hold_blocking(false);
  executor_.RunUntilIdle();
  EXPECT_THAT(storage_.removed, ElementsAre("all of /s/savepoint-1"));
}

TEST_F(CheckpointCoordinatorTest, FailsTheAttemptAfterMoreFailuresInARowThanAreTolerable) {
  MakeAndTrigger({.interval = absl::Seconds(1), .tolerable_failures = 1});
  Decline(kSource0, 1);
  executor_.Advance(absl::Seconds(1));
  AckAll(2);
  executor_.Advance(absl::Seconds(1));
  Decline(kSource0, 3);
  EXPECT_THAT(messenger_.Take(), testing::Not(testing::Contains(HasSubstr("fail:"))))
      << "not in a row";
  executor_.Advance(absl::Seconds(1));
  Decline(kSource0, 4);
  EXPECT_THAT(messenger_.Take(), testing::Contains(HasSubstr("fail: too many checkpoints")));
  executor_.Advance(absl::Seconds(10));
  EXPECT_THAT(messenger_.Take(), IsEmpty());
}

TEST_F(CheckpointCoordinatorTest, ACheckpointThatARegionsFailureAbortsHasNotFailedItself) {
  MakeAndTrigger({.interval = absl::Seconds(1), .tolerable_failures = 0});
  coordinator_->Suspend(absl::InternalError("a task failed"));
  EXPECT_THAT(messenger_.Take(), ElementsAre("coordinators 1 x1", "aborted 1"));
}

TEST_F(SavepointTest, ThatIsDrainedAndAbortedByARegionsFailureFailsNothingElse) {
  Run();
  Trigger(AfterSavepoint::kDrain);
  AckCoordinator(1);
  EXPECT_TRUE(coordinator_->stopping()) << "so that the JobMaster takes all regions down";
  coordinator_->Suspend(absl::InternalError("a task failed"));
  EXPECT_EQ(result_.status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(messenger_.Take(),
              ElementsAre("coordinators 1 x1", "sources 1 x2 terminate", "aborted 1"));
}

TEST_F(CheckpointCoordinatorTest, DeletesAClaimedSnapshotWhenACheckpointOfItsOwnHasReplacedIt) {
  for (const bool replaced : {false, true}) {
    Make({.interval = absl::Seconds(1)});
    coordinator_->Stop(absl::CancelledError("not yet"));
    CheckpointMetadata imported;
    imported.id = CheckpointId(41);
    storage_.stored["chk-41"] = imported;
    coordinator_->AddRestored({.metadata = std::make_shared<const CheckpointMetadata>(imported),
                               .path = "chk-41",
                               .is_savepoint = true},
                              "backup/savepoint-1", ClaimMode::kClaim);
    EXPECT_TRUE(coordinator_->Retains("backup/savepoint-1"));
    coordinator_->RestoreLatest([](auto latest) { ASSERT_TRUE(latest.ok()); });
    executor_.RunUntilIdle();
    EXPECT_EQ(coordinator_->Statistics().latest_restored->external_path, "backup/savepoint-1");
    coordinator_->Start(TestPlan());
    coordinator_->OnAllTasksRunning();
    executor_.Advance(absl::Seconds(1));
    if (replaced) AckAll(42);
    coordinator_->Stop(absl::CancelledError("done"));
    coordinator_->DiscardAll();
    const auto deleted = testing::Contains("all of backup/savepoint-1");
    if (replaced) {
      EXPECT_THAT(storage_.removed, deleted);
    } else {
      EXPECT_THAT(storage_.removed, testing::Not(deleted)) << "it is all there is";
    }
  }
}

}  // namespace
}  // namespace weir
