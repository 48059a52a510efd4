#include "taskmanager/coordinator_host.h"

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/base/mutex.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Keeps what is said, as text, in order.
class RecordingListener final : public CoordinatorListener {
 public:
  void OnCoordinatorEvent(const CoordinatorDescription&, uint32_t subtask,
                          std::string event) override {
    Add(StrCat("event ", subtask, " ", event));
  }
  void OnEventToCoordinators(const CoordinatorDescription&, std::string event) override {
    Add(StrCat("event to all ", event));
  }
  void OnCoordinatorSnapshot(const CoordinatorDescription&, CheckpointId checkpoint,
                             absl::StatusOr<std::string> state) override {
    Add(StrCat("snapshot ", checkpoint.value(), " ",
               state.ok() ? *state : StrCat("error: ", ToStd(state.status().message()))));
  }
  void OnCoordinatorFailed(const CoordinatorDescription&, const absl::Status& reason) override {
    Add(StrCat("failed ", ToStd(reason.message())));
  }

  // Waits until `count` things were said.
  std::vector<std::string> Wait(size_t count) {
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    const MutexLock lock(&mutex_);
    while (said_.size() < count && absl::Now() < deadline)
      changed_.WaitFor(&mutex_, deadline - absl::Now());
    return said_;
  }

 private:
  void Add(std::string text) {
    const MutexLock lock(&mutex_);
    said_.push_back(std::move(text));
    changed_.SignalAll();
  }

  Mutex mutex_;
  CondVar changed_;
  std::vector<std::string> said_ ABSL_GUARDED_BY(mutex_);
};

// Does as the events say.
class ObedientCoordinator final : public OperatorCoordinator {
 public:
  absl::Status Start(CoordinatorContext& context, const std::string* restored) override {
    context_ = &context;
    context.SendEvent(0, restored == nullptr ? "fresh" : *restored);
    return absl::OkStatus();
  }
  absl::Status HandleEvent(uint32_t subtask, std::string_view event) override {
    if (event == "throw") throw std::runtime_error("thrown");
    if (event == "fail") return absl::InternalError("told to fail");
    if (event == "later") {
      context_->PostAfter(absl::Milliseconds(1), [this, subtask] {
        context_->SendEvent(subtask, "late");
        return absl::OkStatus();
      });
      return absl::OkStatus();
    }
    if (event == "tell all") {
      context_->SendToCoordinators("news");
      return absl::OkStatus();
    }
    if (event == "outside") {
      context_->io_pool()->Post(
          [context = context_] { context->Fail(absl::InternalError("failed outside")); });
      return absl::OkStatus();
    }
    last_ = std::string(event);
    context_->SendEvent(subtask, std::string(event));
    return absl::OkStatus();
  }
  absl::Status HandleCoordinatorEvent(OperatorId sender, std::string_view event) override {
    context_->SendEvent(0, StrCat(std::string(event), " of ", sender.low()));
    return absl::OkStatus();
  }
  absl::StatusOr<std::string> Snapshot(CheckpointId checkpoint) override {
    if (checkpoint.value() == 13) throw std::runtime_error("unlucky");
    return last_;
  }
  absl::Status NotifyCheckpointComplete(CheckpointId checkpoint) override {
    context_->SendEvent(0, StrCat("complete ", checkpoint.value()));
    return absl::OkStatus();
  }

 private:
  CoordinatorContext* context_ = nullptr;
  std::string last_;
};

class ObedientFactory final : public CoordinatorFactory {
 public:
  std::unique_ptr<OperatorCoordinator> Create() const override {
    return std::make_unique<ObedientCoordinator>();
  }
};

class CoordinatorHostTest : public ::testing::Test {
 protected:
  ~CoordinatorHostTest() override {
    timers_.Shutdown();
    pool_.Shutdown();
  }

  std::shared_ptr<CoordinatorHost> MakeHost(std::optional<std::string> restored = std::nullopt) {
    StreamNode node;
    node.name = "obedient";
    node.num_inputs = 0;
    node.coordinator = std::make_shared<ObedientFactory>();
    auto graph = std::make_shared<StreamGraph>();
    graph->AddNode(std::move(node));
    CoordinatorDescription description;
    description.operator_name = "obedient";
    description.parallelism = 4;
    description.restored = std::move(restored);
    description.graph = std::move(graph);
    CoordinatorEnvironment environment;
    environment.coordinator_pool = &pool_;
    environment.io_pool = &pool_;
    environment.clock = SystemClock();
    environment.timers = &timers_;
    environment.listener = &listener_;
    return std::make_shared<CoordinatorHost>(std::move(description), environment);
  }

  RecordingListener listener_;
  TimerThread timers_;
  IoPool pool_{"test", 4};
};

TEST_F(CoordinatorHostTest, SaysTheSnapshotBetweenEventsBeforeAndAfterIt) {
  const auto host = MakeHost();
  host->Start();
  std::vector<std::string> expected{"event 0 fresh"};
  for (uint64_t i = 1; i <= 200; ++i) {
    host->HandleEvent(1, StrCat("a", i));
    host->TriggerCheckpoint(CheckpointId(1000 + i));
    host->HandleEvent(2, StrCat("b", i));
    expected.push_back(StrCat("event 1 a", i));
    expected.push_back(StrCat("snapshot ", 1000 + i, " a", i));
    expected.push_back(StrCat("event 2 b", i));
  }
  EXPECT_EQ(listener_.Wait(expected.size()), expected);
}

TEST_F(CoordinatorHostTest, StartsFromWhatASnapshotSaid) {
  const auto host = MakeHost("restored");
  host->Start();
  host->NotifyCheckpointComplete(CheckpointId(5));
  EXPECT_THAT(listener_.Wait(2), ElementsAre("event 0 restored", "event 0 complete 5"));
}

TEST_F(CoordinatorHostTest, RunsDelayedMail) {
  const auto host = MakeHost();
  host->Start();
  host->HandleEvent(3, "later");
  EXPECT_THAT(listener_.Wait(2), ElementsAre("event 0 fresh", "event 3 late"));
}

TEST_F(CoordinatorHostTest, SpeaksWithOtherCoordinators) {
  const auto host = MakeHost();
  host->Start();
  host->HandleEvent(0, "tell all");
  host->HandleCoordinatorEvent(OperatorId(0, 7), "their news");
  EXPECT_THAT(listener_.Wait(3),
              ElementsAre("event 0 fresh", "event to all news", "event 0 their news of 7"));
}

TEST_F(CoordinatorHostTest, FailsOnceAndDoesNothingMore) {
  const auto host = MakeHost();
  host->Start();
  host->HandleEvent(0, "fail");
  host->HandleEvent(0, "throw");
  host->HandleEvent(0, "a");
  host->TriggerCheckpoint(CheckpointId(1));
  listener_.Wait(2);
  pool_.Shutdown();
  EXPECT_THAT(listener_.Wait(2), ElementsAre("event 0 fresh", "failed told to fail"));
}

TEST_F(CoordinatorHostTest, TurnsWhatItThrowsIntoAFailure) {
  const auto host = MakeHost();
  host->Start();
  host->HandleEvent(0, "throw");
  EXPECT_THAT(listener_.Wait(2),
              ElementsAre("event 0 fresh", testing::AllOf(HasSubstr("operator=obedient"),
                                                          HasSubstr("what=thrown"))));
}

TEST_F(CoordinatorHostTest, FailsFromOutside) {
  const auto host = MakeHost();
  host->Start();
  host->HandleEvent(0, "outside");
  EXPECT_THAT(listener_.Wait(2), ElementsAre("event 0 fresh", "failed failed outside"));
}

TEST_F(CoordinatorHostTest, LosesTheCheckpointButLivesOnWhenTheSnapshotThrows) {
  const auto host = MakeHost();
  host->Start();
  host->TriggerCheckpoint(CheckpointId(13));
  host->HandleEvent(1, "a");
  EXPECT_THAT(listener_.Wait(3),
              ElementsAre("event 0 fresh", HasSubstr("snapshot 13 error: "), "event 1 a"));
}

TEST_F(CoordinatorHostTest, SaysNothingAfterClose) {
  const auto host = MakeHost();
  host->Start();
  listener_.Wait(1);
  host->Close();
  host->HandleEvent(1, "a");
  host->SendEvent(1, "b");
  host->Close();
  pool_.Shutdown();
  EXPECT_THAT(listener_.Wait(1), ElementsAre("event 0 fresh"));
}

}  // namespace
}  // namespace weir
