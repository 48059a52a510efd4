#include "runtime/task/operator_chain.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/record/typed_batch.h"

namespace weir {
namespace {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
constexpr int64_t kAtOnce = 0;

/// Of a task that does not exist.
class NoContext final : public OperatorContext {
 public:
  [[nodiscard]] const Place& place() const override { return place_; }
  [[nodiscard]] MemoryBudget* memory_budget() const override { return nullptr; }
  [[nodiscard]] IoPool* io_pool() const override { return nullptr; }
  [[nodiscard]] const Clock* clock() const override { return SystemClock(); }
  [[nodiscard]] MetricGroup* metrics() const override { return &metrics_; }
  [[nodiscard]] const std::shared_ptr<TaskHandle>& handle() const override { return handle_; }
  [[nodiscard]] const std::shared_ptr<StateFileStore>& state_store() const override {
    return store_;
  }
  void SendToCoordinator(std::string) override {}

 private:
  const Place place_;
  mutable MetricGroup metrics_;
  const std::shared_ptr<TaskHandle> handle_;
  const std::shared_ptr<StateFileStore> store_;
};

BatchPtr OneRecord(int64_t value) {
  TypedBatchBuilder<int64_t> builder;
  builder.Add(value, EventTime::Min());
  return builder.Finish();
}

/// Passes batches on, and emits one of its own for each of the wakes that are due.
class EmitWhenWoken final : public StreamOperator {
 public:
  explicit EmitWhenWoken(int* wakes_due) : wakes_due_(wakes_due) {}
  absl::Status Open(OperatorContext&, Output&, std::vector<OperatorSubtaskState>) override {
    return absl::OkStatus();
  }
  absl::StatusOr<Progress> ProcessBatch(uint32_t, BatchCursor& cursor, Output& output) override {
    output.port(0).EmitBatch(std::move(cursor.batch));
    return Progress::kDone;
  }
  absl::StatusOr<Progress> OnWake(Output& output) override {
    if (*wakes_due_ == 0) return Progress::kDone;
    output.port(0).EmitBatch(OneRecord(--*wakes_due_));
    return *wakes_due_ == 0 ? Progress::kDone : Progress::kSuspended;
  }

 private:
  int* const wakes_due_;
};

class CollectValues final : public StreamOperator {
 public:
  explicit CollectValues(std::vector<int64_t>* values) : values_(values) {}
  absl::Status Open(OperatorContext&, Output&, std::vector<OperatorSubtaskState>) override {
    return absl::OkStatus();
  }
  absl::StatusOr<Progress> ProcessBatch(uint32_t, BatchCursor& cursor, Output&) override {
    for (const int64_t value : BatchValues<int64_t>(*cursor.batch)) values_->push_back(value);
    return Progress::kDone;
  }

 private:
  std::vector<int64_t>* const values_;
};

TEST(OperatorChainTest, AnOperatorWithoutRoomIsWokenWhenThereIs) {
  int wakes_due = 0;
  std::vector<int64_t> values;
  std::vector<OperatorChain::Link> links(2);
  links[0].op = std::make_unique<EmitWhenWoken>(&wakes_due);
  links[1].op = std::make_unique<CollectValues>(&values);
  for (OperatorChain::Link& link : links) link.context = std::make_unique<NoContext>();
  OperatorChain chain(std::move(links), {});
  chain.Join(0, 0, 1);
  ASSERT_TRUE(chain.Open({{}, {}}).ok());

  // The quantum ends with a batch between the two.
  chain.Feed(0, OneRecord(100));
  auto ran = chain.Run(kAtOnce);
  ASSERT_TRUE(ran.ok());
  ASSERT_EQ(*ran, OperatorChain::RunResult::kQuantumOver);
  wakes_due = 3;
  const auto woken = chain.WakeOperators();
  ASSERT_TRUE(woken.ok());
  EXPECT_FALSE(*woken);
  EXPECT_EQ(wakes_due, 3) << "woken without room";
  ran = chain.Run(kNever);
  ASSERT_TRUE(ran.ok());
  EXPECT_EQ(*ran, OperatorChain::RunResult::kDrained);
  EXPECT_EQ(values, (std::vector<int64_t>{100, 2, 1, 0}));
}

/// Takes what leaves the chain.
class Captured final : public OutputTarget {
 public:
  void Accept(StreamElement element) override { elements.push_back(std::move(element)); }
  [[nodiscard]] bool Full() const override { return false; }
  std::vector<StreamElement> elements;
};

// Who is downstream must see the end ahead of the task's last barrier: there is no other one.
TEST(OperatorChainTest, ABarrierBehindTheEndOfInputDoesNotOvertake) {
  std::vector<int64_t> values;
  std::vector<OperatorChain::Link> links(1);
  links[0].op = std::make_unique<CollectValues>(&values);
  links[0].context = std::make_unique<NoContext>();
  OperatorChain::Events events;
  events.accepts_snapshot = [](const CheckpointBarrier&) { return true; };
  events.on_snapshot = [](const CheckpointBarrier&, std::vector<OperatorSnapshot>) {
    return absl::OkStatus();
  };
  OperatorChain chain(std::move(links), std::move(events));
  Captured captured;
  chain.AddTarget(0, 0, &captured);
  ASSERT_TRUE(chain.Open({{}}).ok());
  chain.Feed(0, CheckpointBarrier{.id = CheckpointId(1), .unaligned = true});
  chain.Feed(0, EndOfInput{});
  chain.Feed(0, CheckpointBarrier{.id = CheckpointId(2), .unaligned = true});
  ASSERT_TRUE(chain.Run(kNever).ok());
  ASSERT_EQ(captured.elements.size(), 3U);
  EXPECT_TRUE(std::get<CheckpointBarrier>(captured.elements[0]).unaligned);
  EXPECT_FALSE(std::get<CheckpointBarrier>(captured.elements[2]).unaligned);
}

/// Notes what it is asked for, in order.
class NoteCalls final : public StreamOperator {
 public:
  explicit NoteCalls(std::vector<std::string>* calls) : calls_(calls) {}
  absl::Status Open(OperatorContext&, Output&, std::vector<OperatorSubtaskState>) override {
    return absl::OkStatus();
  }
  absl::StatusOr<Progress> ProcessBatch(uint32_t, BatchCursor&, Output&) override {
    return Progress::kDone;
  }
  absl::StatusOr<OperatorSnapshot> Snapshot(CheckpointId checkpoint) override {
    calls_->push_back("snapshot " + std::to_string(checkpoint.value()));
    return OperatorSnapshot();
  }
  absl::Status HandleCoordinatorEvent(std::string_view event) override {
    calls_->emplace_back(event);
    return absl::OkStatus();
  }

 private:
  std::vector<std::string>* const calls_;
};

// A split assigned after the coordinator's snapshot would else be in the reader's too, and be read
// twice after a restore.
TEST(OperatorChainTest, ACoordinatorsEventComesBehindTheBarriersBeforeIt) {
  std::vector<std::string> calls;
  std::vector<OperatorChain::Link> links(1);
  links[0].op = std::make_unique<NoteCalls>(&calls);
  links[0].context = std::make_unique<NoContext>();
  OperatorChain::Events events;
  events.accepts_snapshot = [](const CheckpointBarrier&) { return true; };
  events.on_snapshot = [](const CheckpointBarrier&, std::vector<OperatorSnapshot>) {
    return absl::OkStatus();
  };
  OperatorChain chain(std::move(links), std::move(events));
  ASSERT_TRUE(chain.Open({{}}).ok());
  ASSERT_TRUE(chain.HandleCoordinatorEvent(OperatorId(), "before").ok());
  chain.Feed(0, CheckpointBarrier{CheckpointId(1), 0});
  ASSERT_TRUE(chain.HandleCoordinatorEvent(OperatorId(), "between").ok());
  chain.Feed(0, CheckpointBarrier{CheckpointId(2), 0});
  ASSERT_TRUE(chain.HandleCoordinatorEvent(OperatorId(), "after").ok());
  ASSERT_TRUE(chain.Run(kNever).ok());
  EXPECT_EQ(calls,
            (std::vector<std::string>{"before", "snapshot 1", "between", "snapshot 2", "after"}));
}

// EmitWhenWoken -> CollectValues, of which every barrier is taken.
class SuspendedChainTest : public ::testing::Test {
 protected:
  SuspendedChainTest() {
    std::vector<OperatorChain::Link> links(2);
    links[0].op = std::make_unique<EmitWhenWoken>(&wakes_due_);
    links[1].op = std::make_unique<CollectValues>(&values_);
    for (OperatorChain::Link& link : links) link.context = std::make_unique<NoContext>();
    OperatorChain::Events events;
    events.accepts_snapshot = [](const CheckpointBarrier&) { return true; };
    events.on_snapshot = [](const CheckpointBarrier&, std::vector<OperatorSnapshot>) {
      return absl::OkStatus();
    };
    chain_.emplace(std::move(links), std::move(events));
    chain_->Join(0, 0, 1);
    EXPECT_TRUE(chain_->Open({{}, {}}).ok());
  }
  void Feed(BarrierKind kind, uint64_t checkpoint) {
    chain_->Feed(0, CheckpointBarrier{CheckpointId(checkpoint), 0, kind});
    EXPECT_TRUE(chain_->Run(kNever).ok());
  }
  // What a due timer does.
  void Wake() {
    wakes_due_ = 1;
    EXPECT_TRUE(chain_->WakeOperators().ok());
    EXPECT_TRUE(chain_->Run(kNever).ok());
  }

  int wakes_due_ = 0;
  std::vector<int64_t> values_;
  std::optional<OperatorChain> chain_;
};

TEST_F(SuspendedChainTest, FiresNoTimersBehindABarrierThatStops) {
  Feed(BarrierKind::kSavepoint, 1);
  EXPECT_FALSE(chain_->suspended());
  Wake();
  ASSERT_EQ(values_.size(), 1u) << "a savepoint alone stops nothing";
  Feed(BarrierKind::kSuspend, 2);
  EXPECT_TRUE(chain_->suspended());
  Wake();
  EXPECT_EQ(values_.size(), 1u);
}

TEST_F(SuspendedChainTest, GoesOnWhenTheSavepointIsAborted) {
  Feed(BarrierKind::kSuspend, 1);
  ASSERT_TRUE(chain_->NotifyCheckpointAborted(CheckpointId(1)).ok());
  EXPECT_FALSE(chain_->suspended());
  Wake();
  EXPECT_EQ(values_.size(), 1u);
}

TEST_F(SuspendedChainTest, IsNotStoppedByABarrierThatComesBehindItsAbort) {
  ASSERT_TRUE(chain_->NotifyCheckpointAborted(CheckpointId(3)).ok());
  Feed(BarrierKind::kSuspend, 3);
  EXPECT_FALSE(chain_->suspended());
  Feed(BarrierKind::kSuspend, 4);
  EXPECT_TRUE(chain_->suspended());
}

}  // namespace
}  // namespace weir
